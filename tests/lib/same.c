/*
 * same.c - whether two open databases show the same; see same.h.
 */
#include "same.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 4096 };

static _Thread_local char difference[TEXT_BYTES + 300];

struct name_text {
    char text[TEXT_BYTES];
    size_t len;
};

static void add_name(void *ctx, const char *name)
{
    struct name_text *names = ctx;
    const int len = snprintf(names->text + names->len, TEXT_BYTES - names->len, "%s/", name);
    names->len += (size_t)len < TEXT_BYTES - names->len ? (size_t)len : 0;
}

static const char *differs_at(const char *coll, const char *what, loam_slice key)
{
    (void)snprintf(difference, sizeof difference, "\"%s\": %s at \"%.*s\"", coll, what,
                   (int)(key.len < 200 ? key.len : 200), (const char *)key.data);
    return difference;
}

static bool slices_equal(loam_slice a, loam_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static const char *entries_differ(const char *name, loam_iter *a, loam_iter *b)
{
    for (;;) {
        const loam_status rc_a = loam_iter_next(a), rc_b = loam_iter_next(b);
        if (rc_a < 0 || rc_b < 0) return differs_at(name, loam_errmsg(), loam_str(""));
        if (rc_a != rc_b)
            return differs_at(name, rc_a == LOAM_OK ? "only the first goes on" : "only the second",
                              rc_a == LOAM_OK ? loam_iter_key(a) : loam_iter_key(b));
        if (rc_a == LOAM_NOTFOUND) return NULL;
        if (!slices_equal(loam_iter_key(a), loam_iter_key(b)))
            return differs_at(name, "another key", loam_iter_key(a));
        if (!slices_equal(loam_iter_value(a), loam_iter_value(b)) ||
            loam_iter_expires_ms(a) != loam_iter_expires_ms(b))
            return differs_at(name, "another value", loam_iter_key(a));
    }
}

static const char *colls_differ(const char *name, loam_db *a, loam_db *b)
{
    loam_coll *of_a, *of_b;
    loam_iter *it_a = NULL, *it_b = NULL;
    const char *differs = NULL;
    if (loam_collection(a, name, &of_a) != LOAM_OK || loam_collection(b, name, &of_b) != LOAM_OK)
        return differs_at(name, "no such collection", loam_str(""));
    if (loam_iter_open(a, of_a, NULL, &it_a) == LOAM_OK &&
        loam_iter_open(b, of_b, NULL, &it_b) == LOAM_OK)
        differs = entries_differ(name, it_a, it_b);
    else
        differs = differs_at(name, loam_errmsg(), loam_str(""));
    loam_iter_close(it_a);
    loam_iter_close(it_b);
    return differs;
}

const char *same_differs(loam_db *a, loam_db *b)
{
    static _Thread_local struct name_text of_a, of_b;
    uint64_t index_a = 0, index_b = 0;
    const char *differs = NULL;
    of_a.len = of_b.len = 0;
    of_a.text[0] = of_b.text[0] = '\0';
    if (loam_collections(a, add_name, &of_a) != LOAM_OK ||
        loam_collections(b, add_name, &of_b) != LOAM_OK || loam_index(a, &index_a) != LOAM_OK ||
        loam_index(b, &index_b) != LOAM_OK)
        return loam_errmsg();
    if (index_a != index_b) return "the caller's index differs";
    if (strcmp(of_a.text, of_b.text) != 0) {
        (void)snprintf(difference, sizeof difference, "collections: %.2000s and %.2000s", of_a.text,
                       of_b.text);
        return difference;
    }
    for (char *name = of_a.text, *end; differs == NULL && *name != '\0'; name = end + 1) {
        end = strchr(name, '/');
        *end = '\0';
        differs = colls_differ(name, a, b);
    }
    return differs;
}
