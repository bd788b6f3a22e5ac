/*
 * calls_restore.c - the calls that archive a log and restore from that, once each; see calls.h.
 */
#include "lib/calls_restore.h"

#include <stdio.h>
#include <string.h>

void will_archive(struct bench *b)
{
    b->options.archive = "archive";
}

/* What was in the log of the killed store is of an earlier opener. */
void archive_some(struct bench *b)
{
    loam_db *db;
    char text[16];
    loam_options options = b->options;
    options.archive = "archive";
    bench_ok(db_open_in(&b->world, "db", &options, &db));
    bench_ok(loam_checkpoint(db, "base", NULL));
    for (int i = 0; i < 8; i++) {
        bench_ok(loam_put_ttl(db, NULL, bench_key(i, text), bench_value(30), 0));
        model_put(b->before, "default", bench_key(i, text), bench_value(30));
    }
    bench_ok(loam_clone(db, "default", "cloned", NULL));
    model_clone(b->before, "default", "cloned");
    bench_ok(loam_close(db));
}

loam_status make_restore(struct bench *b)
{
    char target[16];
    const loam_restore_options options = {
        .struct_size = sizeof options, .archive = "archive", .options = &b->options};
    snprintf(target, sizeof target, "restored%u", b->repairs++);
    const loam_status rc = db_restore_in(&b->world, "base", target, &options, NULL);
    if (rc == LOAM_OK) memcpy(b->repaired, target, sizeof target);
    return rc;
}

static loam_status take_checkpoint(struct bench *b, bool copy)
{
    char target[16];
    loam_checkpoint_options options = loam_checkpoint_options_default();
    options.copy = copy;
    snprintf(target, sizeof target, "copy%u", b->repairs++);
    const loam_status rc = loam_checkpoint(b->db, target, &options);
    if (rc == LOAM_OK) memcpy(b->repaired, target, sizeof target);
    return rc;
}

loam_status make_checkpoint(struct bench *b)
{
    return take_checkpoint(b, false);
}

loam_status make_copy(struct bench *b)
{
    return take_checkpoint(b, true);
}
