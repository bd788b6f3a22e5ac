/*
 * fuzz_inspect.c - any bytes as the files of a store: inspecting it, and each of them alone, ends, stays within them, and says the
 * same twice.
 *
 * Input, for each of at most 4 files: a byte that says which kind (FILE_KINDS) and what is put right (segments.h; MEND_SUMS), a
 *   u16 length, and so many bytes: of a segment or a manifest the header and records.
 */
#include <stdint.h>
#include <stdio.h>

#include "../tests/lib/simdisk.h"
#include "../tests/lib/sst_lab.h"
#include "base/check.h"
#include "db/inspect.h"
#include "segments.h"
#include "sstable/table_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INSPECT_FILES_MAX = 4, IS_TABLES = 64, IS_ROOT = 128, IS_MANIFEST = 32, MEND_SUMS = 8 };

struct heard {
    uint64_t sum, count;
};

static bool hear_finding(void *ctx, const loam_finding *finding)
{
    struct heard *heard = ctx;
    heard->count++;
    heard->sum = hash_seeded(finding->kind, strlen(finding->kind), heard->sum);
    for (size_t i = 0; i < finding->fact_count; i++) {
        const loam_fact *fact = &finding->facts[i];
        heard->sum = hash_seeded(&fact->number, sizeof fact->number, heard->sum);
        if (fact->bytes.len > 0)
            heard->sum = hash_seeded(fact->bytes.data, fact->bytes.len, heard->sum);
    }
    return true;
}

static void put_file(struct sys_table sys, const char *name, const uint8_t *bytes, size_t len)
{
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    const int fd = sys.calls->open(sys.ctx, dir, name, SYS_CREATE);
    const struct sys_piece piece = {bytes, len};
    if (fd >= 0) {
        check(sys.calls->write(sys.ctx, fd, 0, &piece, 1, false) == (int64_t)len);
        (void)sys.calls->close(sys.ctx, fd);
    }
    (void)sys.calls->close(sys.ctx, dir);
}

static void mend_tables(uint8_t *bytes, size_t len)
{
    if (len < FOOTER_BYTES) return;
    uint8_t *raw = bytes + len - FOOTER_RAW_BYTES;
    put_u64(raw + 8, len);
    memcpy(raw + FOOTER_RAW_BYTES - 8, "loam.sst", 8);
    sst_fix_sums(bytes, len, get_u64(raw));
}

/* The name that the file has got. */
static void put_part(struct sys_table sys, uint32_t number, unsigned what, uint8_t *bytes,
                     size_t len, char name[static OBJECT_NAME_BYTES])
{
    const struct object_id id = {2, number};
    size_t segment_len = 0;
    if (what & IS_ROOT) {
        (void)snprintf(name, OBJECT_NAME_BYTES, "root");
        if ((what & MEND_SUMS) && len > 8) put_u64(bytes, hash_seeded(bytes + 8, len - 8, 0));
        put_file(sys, name, bytes, len);
        return;
    }
    if (what & IS_TABLES) {
        object_name_make(OBJECT_TABLES, id, name);
        if (what & MEND_SUMS) mend_tables(bytes, len);
        put_file(sys, name, bytes, len);
        return;
    }
    object_name_make(what & IS_MANIFEST ? OBJECT_MANIFEST : OBJECT_SEGMENT, id, name);
    uint8_t *segment = make_segment(bytes, len, what, &segment_len);
    if (segment != NULL) put_file(sys, name, segment, segment_len);
    free(segment);
}

static void look_at(struct sys_table sys, const char *path)
{
    loam_inspect_options options = loam_inspect_options_default();
    struct heard first = {0}, second = {0};
    options.files = options.entries = true;
    const loam_status rc = inspect_in(sys, path, &options, hear_finding, &first);
    check(rc == LOAM_OK || rc == LOAM_CORRUPT || rc == LOAM_TOONEW || rc == LOAM_INVALID ||
          rc == LOAM_IOERR);
    check(inspect_in(sys, path, &options, hear_finding, &second) == rc);
    check(first.sum == second.sum && first.count == second.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1), *at = copy;
    char names[INSPECT_FILES_MAX][OBJECT_NAME_BYTES] = {""}, path[OBJECT_NAME_BYTES + 8];
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    struct simdisk *disk = simdisk_new(1);
    const struct sys_table sys = simdisk_table(disk);
    check(sys.calls->make_dir(sys.ctx, "db") == 0);
    for (uint32_t number = 1; number <= INSPECT_FILES_MAX && size >= 3; number++) {
        size_t part = 3 + (size_t)get_u16(at + 1);
        if (part > size) part = size;
        put_part(sys, number, at[0], at + 3, part - 3, names[number - 1]);
        if (number == 1) put_file(sys, "another", at + 3, part - 3);
        at += part;
        size -= part;
    }
    look_at(sys, "db");
    look_at(sys, "db/another");
    for (size_t i = 0; i < INSPECT_FILES_MAX; i++) {
        (void)snprintf(path, sizeof path, "db/%s", names[i]);
        if (names[i][0] != '\0') look_at(sys, path);
    }
    simdisk_free(disk);
    free(copy);
    return 0;
}
