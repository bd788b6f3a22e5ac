/*
 * fuzz_salvage.c - any bytes as the log and the manifest of a damaged store: repair ends, says the same twice, and what it
 * makes opens and verifies.
 *
 * Input, for each of at most 4 files: a byte of repairs (segments.h, and those below), a u16 length, and so many bytes of a
 *   header and records. There is no root, and no table: those are behind fuzz_root.c and fuzz_table.c.
 */
#include <stdint.h>
#include <stdio.h>

#include "../tests/lib/simdisk.h"
#include "base/check.h"
#include "db/db.h"
#include "segments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 4, EPOCH = 2 };

enum {
    REPAIR_START = 16, /* begins at 0 */
    IS_MANIFEST = 32
};

static void write_file(struct sys_table sys, int dir, const char *name, const uint8_t *bytes,
                       size_t len)
{
    const int fd = sys.calls->open(sys.ctx, dir, name, SYS_CREATE);
    const struct sys_piece piece = {bytes, len};
    check(fd >= 0 && sys.calls->write(sys.ctx, fd, 0, &piece, 1, false) == (int64_t)len);
    (void)sys.calls->close(sys.ctx, fd);
}

static void write_files(struct sys_table sys, int dir, uint8_t *data, size_t size)
{
    for (uint32_t number = 1; number <= FILES_MAX && size >= 3; number++) {
        size_t part = 3 + (size_t)get_u16(data + 1), len = 0;
        const unsigned repair = data[0];
        uint8_t *header = data + 3;
        char name[OBJECT_NAME_BYTES];
        if (part > size) part = size;
        if (part >= 3 + FUZZ_HEADER_BYTES) {
            if (repair & REPAIR_IDENTITY) {
                memcpy(header + 8, FUZZ_STORE_ID, STORE_ID_BYTES);
                put_u32(header + 24, EPOCH);
                put_u32(header + 28, number);
                put_u64(header + 56, FUZZ_LOG_KEY);
            }
            if (repair & REPAIR_START) put_u64(header + 32, 0);
            object_name_make(repair & IS_MANIFEST ? OBJECT_MANIFEST : OBJECT_SEGMENT,
                             (struct object_id){EPOCH, number}, name);
            uint8_t *bytes = make_segment(header, part - 3, repair, &len);
            if (bytes != NULL) write_file(sys, dir, name, bytes, len);
            free(bytes);
        }
        data += part;
        size -= part;
    }
}

static void hear(void *ctx, const char *text)
{
    uint64_t *sum = ctx;
    *sum = hash_seeded(text, strlen(text), *sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t dry = 0, wet = 0;
    loam_db *db = NULL;
    loam_options open_options = loam_options_default();
    loam_repair_options options = loam_repair_options_default();
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    struct simdisk *disk = simdisk_new(1);
    const struct sys_table sys = simdisk_table(disk);
    const struct db_world world = {.sys = sys, .seed = 1, .log_bytes_least = 16384};
    check(sys.calls->make_dir(sys.ctx, "db") == 0);
    const int dir = sys.calls->open_dir(sys.ctx, "db");
    write_files(sys, dir, copy, size);
    (void)sys.calls->close(sys.ctx, dir);
    open_options.memory_bytes = options.memory_bytes = 4 << 20;
    options.line = hear;
    options.ctx = &dry;
    const loam_status said = db_repair_in(&world, "db", NULL, &options, NULL);
    options.ctx = &wet;
    check(db_repair_in(&world, "db", "new", &options, NULL) == said && dry == wet);
    if (said == LOAM_OK || said == LOAM_CORRUPT) {
        check(db_open_in(&world, "new", &open_options, &db) == LOAM_OK);
        check(loam_verify_open(db, NULL, NULL) == LOAM_OK);
        check(loam_close(db) == LOAM_OK);
    } else {
        check(said == LOAM_TOONEW || said == LOAM_IOERR);
    }
    simdisk_free(disk);
    free(copy);
    return 0;
}
