/*
 * calls_ingest.c - bulk loads, whole ones; see calls_ingest.h.
 */
#include "lib/calls_ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { HOUR_MS = 3600000, SPILLED_VALUES = 4 };

static const char *const some_keys[] = {"k005", "k007", "k0075", "k030", "z"};
enum { SOME_KEYS = sizeof some_keys / sizeof some_keys[0] };
static char large[100000]; /* a sixteenth of the benches' memory holds three */

static loam_status begin(struct bench *b, const char *name, loam_ingest **out)
{
    loam_coll *coll = NULL;
    *out = NULL;
    const loam_status rc = loam_collection(b->db, name, &coll);
    return rc < 0 ? rc : loam_ingest_begin(b->db, coll, out);
}

static loam_status put_some(loam_ingest *ingest, loam_slice value)
{
    loam_status rc = LOAM_OK;
    for (size_t i = 0; rc == LOAM_OK && i < SOME_KEYS; i++)
        rc = loam_ingest_put(ingest, loam_str(some_keys[i]), value);
    return rc;
}

loam_status make_ingest_begin(struct bench *b)
{
    loam_ingest *ingest;
    const loam_status rc = begin(b, "default", &ingest);
    loam_ingest_close(ingest);
    return rc;
}

loam_status make_ingest_put(struct bench *b)
{
    loam_ingest *ingest;
    loam_status rc = begin(b, "default", &ingest);
    if (rc == LOAM_OK) rc = put_some(ingest, loam_str("given up"));
    if (rc == LOAM_OK) rc = put_some(ingest, loam_str("given up, too"));
    loam_ingest_close(ingest);
    return rc;
}

loam_status make_ingest_put_ttl(struct bench *b)
{
    loam_ingest *ingest;
    loam_status rc = begin(b, "default", &ingest);
    if (rc == LOAM_OK) rc = loam_ingest_put_ttl(ingest, loam_str("k007"), loam_str("new"), HOUR_MS);
    if (rc == LOAM_OK) rc = loam_ingest_commit(ingest);
    loam_ingest_close(ingest);
    return rc;
}

loam_status make_ingest(struct bench *b)
{
    loam_ingest *ingest;
    loam_status rc = begin(b, "default", &ingest);
    if (rc == LOAM_OK) rc = put_some(ingest, loam_str("ingested"));
    if (rc == LOAM_OK) rc = loam_ingest_commit(ingest);
    loam_ingest_close(ingest);
    return rc;
}

void change_ingest(struct model *after)
{
    for (size_t i = 0; i < SOME_KEYS; i++)
        model_put(after, "default", loam_str(some_keys[i]), loam_str("ingested"));
}

/* Backwards, each twice, and larger than the buffer. */
loam_status make_ingest_of_all(struct bench *b)
{
    char text[16];
    loam_ingest *ingest;
    loam_status rc = begin(b, "default", &ingest);
    for (int i = SPILLED_VALUES; rc == LOAM_OK && i-- > 0;)
        rc = loam_ingest_put(ingest, bench_key(i, text), loam_bytes(large, sizeof large / 2));
    for (int i = SPILLED_VALUES; rc == LOAM_OK && i-- > 0;)
        rc = loam_ingest_put(ingest, bench_key(i, text), loam_bytes(large, sizeof large));
    if (rc == LOAM_OK) rc = loam_ingest_commit(ingest);
    loam_ingest_close(ingest);
    return rc;
}

void change_ingest_of_all(struct model *after)
{
    char text[16];
    for (int i = 0; i < SPILLED_VALUES; i++)
        model_put(after, "default", bench_key(i, text), loam_bytes(large, sizeof large));
}

void create_for_ingest(struct bench *b)
{
    bench_ok(loam_create(b->db, "empty", NULL, NULL));
    model_create(b->before, "empty");
}

loam_status make_first_ingest(struct bench *b)
{
    loam_ingest *ingest;
    loam_status rc = begin(b, "empty", &ingest);
    if (rc == LOAM_OK) rc = put_some(ingest, loam_str("the first"));
    if (rc == LOAM_OK) rc = loam_ingest_commit(ingest);
    loam_ingest_close(ingest);
    return rc;
}

void change_first_ingest(struct model *after)
{
    for (size_t i = 0; i < SOME_KEYS; i++)
        model_put(after, "empty", loam_str(some_keys[i]), loam_str("the first"));
}
