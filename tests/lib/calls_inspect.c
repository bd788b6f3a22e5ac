/*
 * calls_inspect.c - the calls that look inside; see calls.h.
 */
#include "lib/calls_inspect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/told.h"

/* The value that was told is the model's. */
static loam_status explain(struct bench *b, const char *coll, const char *key)
{
    struct told told = {0};
    const loam_status rc = loam_explain_get(b->db, coll[0] == 'o' ? b->coll : NULL, NULL,
                                            loam_str(key), told_take, &told);
    if (rc == LOAM_OK) {
        const loam_buf kept = b->buf;
        b->buf = told.value;
        bench_check_value(b, coll, key);
        b->buf = kept;
    } else {
        assert_true(rc < 0);
        assert_true(told.text == NULL || told_line(&told, "answer", 0) == NULL);
    }
    told_free(&told);
    return rc;
}

loam_status make_explain_get(struct bench *b)
{
    return explain(b, "default", "k031");
}

loam_status make_explain_merged(struct bench *b)
{
    return explain(b, "other", "k031");
}

loam_status make_explain_scan(struct bench *b)
{
    struct told told = {0};
    const loam_status rc = loam_explain_scan(b->db, NULL, NULL, 0, told_take, &told);
    if (rc == LOAM_OK)
        assert_int_equal(told_number(told_line(&told, "answer", 0), "rows"),
                         model_count(b->before, "default"));
    told_free(&told);
    return rc;
}

loam_status make_explain_put(struct bench *b)
{
    struct told told = {0};
    const loam_status rc =
        loam_explain_put(b->db, NULL, loam_str("k007"), loam_str("new"), told_take, &told);
    assert_true((rc == LOAM_OK) == (told.count > 0));
    told_free(&told);
    return rc;
}

loam_status make_tree(struct bench *b)
{
    struct told told = {0};
    const loam_status rc = loam_tree(b->db, NULL, told_take, &told);
    assert_true(told_count(&told, "table") > 0);
    told_free(&told);
    return rc;
}

loam_status make_doctor(struct bench *b)
{
    struct told told = {0};
    const loam_status rc = loam_doctor(b->db, told_take, &told);
    if (rc == LOAM_OK) assert_non_null(told_line(&told, "verdict", 0));
    told_free(&told);
    return rc;
}
