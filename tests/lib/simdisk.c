/*
 * simdisk.c - a disk in memory that loses power, fails and fills up: bytes, names, death; see
 * simdisk.h.
 */
#include "simdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "simdisk_inside.h"

/* ---- helpers ---- */

void *sim_must(void *block)
{
    check(block != NULL);
    return block;
}

/* The disk reads the page cache while programs store into it; ThreadSanitizer is not to know. */
#ifdef __SANITIZE_THREAD__
__attribute__((no_sanitize("thread"), noinline)) void sim_copy(uint8_t *dst, const uint8_t *src,
                                                               size_t len)
{
    volatile uint8_t *to = dst;
    const volatile uint8_t *from = src;
    size_t i = 0;
    if ((((uintptr_t)dst | (uintptr_t)src) & 7) == 0) {
        volatile uint64_t *to8 = (volatile uint64_t *)(volatile void *)dst;
        const volatile uint64_t *from8 = (const volatile uint64_t *)(const volatile void *)src;
        for (; i + 8 <= len; i += 8)
            to8[i / 8] = from8[i / 8];
    }
    for (; i < len; i++)
        to[i] = from[i];
}

__attribute__((no_sanitize("thread"), noinline)) static bool differ(const uint8_t *a,
                                                                    const uint8_t *b, size_t len)
{
    const volatile uint64_t *x = (const volatile uint64_t *)(const volatile void *)a;
    const volatile uint64_t *y = (const volatile uint64_t *)(const volatile void *)b;
    for (size_t i = 0; i < len / 8; i++)
        if (x[i] != y[i]) return true;
    return false;
}
#else
void sim_copy(uint8_t *dst, const uint8_t *src, size_t len)
{
    memcpy(dst, src, len);
}

static bool differ(const uint8_t *a, const uint8_t *b, size_t len)
{
    return memcmp(a, b, len) != 0;
}
#endif

uint64_t sim_round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* ---- files ---- */

struct simfile *simfile_new(struct simdisk *disk)
{
    struct simfile *file = sim_must(calloc(1, sizeof *file));
    size_t slot = 0;
    while (disk->files[slot] != NULL)
        check(++slot < sizeof disk->files / sizeof disk->files[0]);
    disk->files[slot] = file;
    if (slot >= disk->file_slots) disk->file_slots = slot + 1;
    return file;
}

void simfile_ref(struct simfile *file, bool use)
{
    file->refs++;
    file->uses += use;
}

void simfile_unref(struct simdisk *disk, struct simfile *file, bool use)
{
    file->uses -= use;
    if (--file->refs > 0) return;
    size_t slot = 0;
    while (disk->files[slot] != file)
        slot++;
    disk->files[slot] = NULL;
    free(file->cache);
    free(file->medium);
    free(file->lost);
    free(file->page_lost);
    free(file);
}

static uint8_t *grown(uint8_t *old, uint64_t old_cap, uint64_t cap)
{
    uint8_t *bytes = sim_must(aligned_alloc(SIM_PAGE, cap));
    memset(bytes + old_cap, 0, cap - old_cap);
    if (old_cap > 0) sim_copy(bytes, old, old_cap);
    free(old);
    return bytes;
}

bool simfile_is_mapped(const struct simdisk *disk, const struct simfile *file)
{
    for (size_t i = 0; i < sizeof disk->mappings / sizeof disk->mappings[0]; i++)
        if (disk->mappings[i].file == file) return true;
    return false;
}

void simfile_reserve(struct simdisk *disk, struct simfile *file, uint64_t bytes)
{
    if (bytes <= file->cap) return;
    const uint64_t cap = sim_round_up(bytes > 2 * file->cap ? bytes : 2 * file->cap, SIM_PAGE);
    check(!simfile_is_mapped(disk, file)); /* mappings are of files that have their size */
    file->cache = grown(file->cache, file->cap, cap);
    file->medium = grown(file->medium, file->cap, cap);
    if (file->lost != NULL) {
        bool *pages = sim_must(calloc(cap / SIM_PAGE, sizeof *pages));
        memcpy(pages, file->page_lost, file->cap / SIM_PAGE * sizeof *pages);
        free(file->page_lost);
        file->page_lost = pages;
        file->lost = grown(file->lost, file->cap, cap);
    }
    file->cap = cap;
}

/* Pages [from, to) in bytes reach the medium, but for those that look clean. */
void simfile_write_out(struct simfile *file, uint64_t from, uint64_t to)
{
    for (uint64_t at = from - from % SIM_PAGE; at < to && at < file->cap; at += SIM_PAGE) {
        if (file->lost != NULL && file->page_lost[at / SIM_PAGE]) {
            if (!differ(file->cache + at, file->lost + at, SIM_PAGE)) continue;
            file->page_lost[at / SIM_PAGE] = false;
        }
        sim_copy(file->medium + at, file->cache + at, SIM_PAGE);
    }
}

void simfile_fail_write_out(struct simfile *file, uint64_t from, uint64_t to, int error)
{
    file->errors++;
    file->error = error;
    if (file->cap == 0) return;
    if (file->lost == NULL) {
        file->lost = sim_must(aligned_alloc(SIM_PAGE, file->cap));
        file->page_lost = sim_must(calloc(file->cap / SIM_PAGE, sizeof *file->page_lost));
    }
    for (uint64_t at = from - from % SIM_PAGE; at < to && at < file->cap; at += SIM_PAGE) {
        if (!differ(file->cache + at, file->medium + at, SIM_PAGE)) continue;
        sim_copy(file->lost + at, file->cache + at, SIM_PAGE);
        file->page_lost[at / SIM_PAGE] = true;
    }
}

uint64_t simdisk_used(const struct simdisk *disk)
{
    uint64_t used = 0;
    for (size_t i = 0; i < disk->file_slots; i++)
        if (disk->files[i] != NULL && disk->files[i]->uses > 0)
            used += sim_round_up(disk->files[i]->size, SIM_PAGE);
    return used;
}

uint64_t simdisk_full_count(const struct simdisk *disk)
{
    return disk->full_count;
}

uint64_t simdisk_room(const struct simdisk *disk)
{
    if (disk->capacity == 0) return UINT64_C(1) << 40;
    const uint64_t used = simdisk_used(disk);
    return used < disk->capacity ? disk->capacity - used : 0;
}

/* ---- names ---- */

struct simfile *simnames_get(const struct simnames *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].name, name) == 0) return names->at[i].file;
    return NULL;
}

static void names_remove(struct simdisk *disk, struct simnames *names, const char *name, bool use)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->at[i].name, name) != 0) continue;
        struct simfile *file = names->at[i].file;
        names->at[i] = names->at[--names->count];
        simfile_unref(disk, file, use);
        return;
    }
}

static void names_set(struct simdisk *disk, struct simnames *names, const char *name,
                      struct simfile *file, bool use)
{
    simfile_ref(file, use);
    names_remove(disk, names, name, use);
    names->at = sim_must(realloc(names->at, (names->count + 1) * sizeof *names->at));
    snprintf(names->at[names->count].name, SIM_NAME_BYTES, "%s", name);
    names->at[names->count++].file = file;
}

static void names_clear(struct simdisk *disk, struct simnames *names, bool use)
{
    while (names->count > 0)
        names_remove(disk, names, names->at[0].name, use);
    free(names->at);
    names->at = NULL;
}

static void apply(struct simdisk *disk, struct simnames *names,
                  const struct simoperation *operation, bool use)
{
    if (operation->set[0] != '\0') names_set(disk, names, operation->set, operation->file, use);
    /* The name may mean another file where an operation before this one was lost. */
    if (operation->removed[0] != '\0' && simnames_get(names, operation->removed) == operation->file)
        names_remove(disk, names, operation->removed, use);
}

void simnames_operate(struct simdisk *disk, struct simdir *dir, const char *set,
                      const char *removed, struct simfile *file)
{
    struct simoperation operation = {"", "", file};
    check(strlen(set) < SIM_NAME_BYTES && strlen(removed) < SIM_NAME_BYTES);
    memcpy(operation.set, set, strlen(set) + 1);
    memcpy(operation.removed, removed, strlen(removed) + 1);
    simfile_ref(file, false);
    apply(disk, &dir->now, &operation, true);
    dir->operations =
        sim_must(realloc(dir->operations, (dir->operation_count + 1) * sizeof *dir->operations));
    dir->operations[dir->operation_count++] = operation;
}

static void forget_operations(struct simdisk *disk, struct simdir *dir)
{
    for (size_t i = 0; i < dir->operation_count; i++)
        simfile_unref(disk, dir->operations[i].file, false);
    dir->operation_count = 0;
}

void simnames_settle(struct simdisk *disk, struct simdir *dir)
{
    for (size_t i = 0; i < dir->operation_count; i++)
        apply(disk, &dir->durable, &dir->operations[i], false);
    forget_operations(disk, dir);
}

struct simdir *simdisk_find_dir(struct simdisk *disk, const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    for (size_t i = 0; i < disk->dir_count; i++) {
        const char *other = disk->dirs[i]->path;
        if (strlen(other) == len && memcmp(other, path, len) == 0) return disk->dirs[i];
    }
    return NULL;
}

/* ---- death ---- */

/* Descriptors, locks and mappings of the process are gone; its memory stays readable to it. */
void simdisk_end_process(struct simdisk *disk)
{
    for (size_t i = 0; i < disk->descriptor_count; i++) {
        struct simfile *file = disk->descriptors[i].file;
        if (disk->descriptors[i].is_beside) continue;
        disk->descriptors[i] = (struct simdescriptor){0};
        if (file != NULL) simfile_unref(disk, file, true);
    }
    for (size_t i = 0; i < sizeof disk->mappings / sizeof disk->mappings[0]; i++) {
        struct simfile *file = disk->mappings[i].file;
        if (file == NULL) continue;
        disk->mappings[i].file = NULL; /* what it maps is its own from now on, until it unmaps */
        file->cache = sim_must(aligned_alloc(SIM_PAGE, file->cap));
        sim_copy(file->cache, disk->mappings[i].at, file->cap);
        simfile_unref(disk, file, true);
    }
}

/* Which of the unsynced things, in order, are kept. */
struct survival {
    enum simdisk_loss loss;
    uint64_t left; /* of a prefix */
};

static struct survival begin_survival(struct simdisk *disk, enum simdisk_loss loss, uint64_t count)
{
    return (struct survival){loss, rand_below(&disk->rand, count + 1)};
}

static bool survives(struct simdisk *disk, struct survival *survival)
{
    switch (survival->loss) {
    case SIMDISK_LOSE_ALL:
        return false;
    case SIMDISK_LOSE_NOTHING:
        return true;
    case SIMDISK_KEEP_PREFIX:
        if (survival->left == 0) return false;
        survival->left--;
        return true;
    case SIMDISK_KEEP_RANDOM:
        return rand_below(&disk->rand, 2) == 0;
    case SIMDISK_LOSSES:
        break;
    }
    return false;
}

static void lose_bytes(struct simdisk *disk, struct simfile *file, enum simdisk_loss loss)
{
    uint64_t dirty = 0;
    for (uint64_t at = 0; at < file->cap; at += SIM_SECTOR)
        dirty += differ(file->cache + at, file->medium + at, SIM_SECTOR);
    struct survival survival = begin_survival(disk, loss, dirty);
    for (uint64_t at = 0; at < file->cap; at += SIM_SECTOR) {
        const uint64_t page = at / SIM_PAGE;
        if (!differ(file->cache + at, file->medium + at, SIM_SECTOR)) continue;
        if (file->lost != NULL && file->page_lost[page] &&
            !differ(file->cache + page * SIM_PAGE, file->lost + page * SIM_PAGE, SIM_PAGE))
            continue; /* the system will not write it again */
        if (survives(disk, &survival)) memcpy(file->medium + at, file->cache + at, SIM_SECTOR);
    }
    struct survival size = begin_survival(disk, loss, 1);
    if (file->size != file->medium_size && survives(disk, &size)) file->medium_size = file->size;
    file->size = file->medium_size;
    if (file->cap > 0) memset(file->medium + file->size, 0, file->cap - file->size);
    if (file->cap > 0) memcpy(file->cache, file->medium, file->cap);
    free(file->lost);
    free(file->page_lost);
    file->lost = NULL;
    file->page_lost = NULL;
}

static void lose_names(struct simdisk *disk, struct simdir *dir, enum simdisk_loss loss)
{
    struct survival survival = begin_survival(disk, loss, dir->operation_count);
    for (size_t i = 0; i < dir->operation_count; i++)
        if (survives(disk, &survival)) apply(disk, &dir->durable, &dir->operations[i], false);
    names_clear(disk, &dir->now, true);
    for (size_t i = 0; i < dir->durable.count; i++)
        names_set(disk, &dir->now, dir->durable.at[i].name, dir->durable.at[i].file, true);
    forget_operations(disk, dir);
}

/* ---- twins ---- */

static uint8_t *twin_bytes(const uint8_t *bytes, uint64_t cap)
{
    uint8_t *twin = sim_must(aligned_alloc(SIM_PAGE, cap));
    memcpy(twin, bytes, cap);
    return twin;
}

static struct simfile *twin_file(const struct simfile *file)
{
    struct simfile *twin = sim_must(malloc(sizeof *twin));
    *twin = *file;
    if (file->cap == 0) return twin;
    twin->cache = twin_bytes(file->cache, file->cap);
    twin->medium = twin_bytes(file->medium, file->cap);
    if (file->lost == NULL) return twin;
    twin->lost = twin_bytes(file->lost, file->cap);
    twin->page_lost = sim_must(malloc(file->cap / SIM_PAGE * sizeof(bool)));
    memcpy(twin->page_lost, file->page_lost, file->cap / SIM_PAGE * sizeof(bool));
    return twin;
}

static struct simfile *twin_of(const struct simdisk *disk, const struct simdisk *twin,
                               const struct simfile *file)
{
    size_t slot = 0;
    while (disk->files[slot] != file)
        slot++;
    return twin->files[slot];
}

static struct simnames twin_names(const struct simdisk *disk, const struct simdisk *twin,
                                  const struct simnames *names)
{
    struct simnames out = {sim_must(malloc((names->count + 1) * sizeof *out.at)), names->count};
    for (size_t i = 0; i < names->count; i++) {
        out.at[i] = names->at[i];
        out.at[i].file = twin_of(disk, twin, names->at[i].file);
    }
    return out;
}

static struct simdir *twin_dir(const struct simdisk *disk, const struct simdisk *twin,
                               const struct simdir *dir)
{
    struct simdir *out = sim_must(malloc(sizeof *out));
    *out = *dir;
    out->now = twin_names(disk, twin, &dir->now);
    out->durable = twin_names(disk, twin, &dir->durable);
    out->operations = sim_must(malloc((dir->operation_count + 1) * sizeof *out->operations));
    for (size_t i = 0; i < dir->operation_count; i++) {
        out->operations[i] = dir->operations[i];
        out->operations[i].file = twin_of(disk, twin, dir->operations[i].file);
    }
    return out;
}

/* A descriptor or mapping of the first disk's process, which the twin has not. */
static void leave_unused(const struct simdisk *disk, struct simdisk *twin,
                         const struct simfile *file)
{
    if (file != NULL) simfile_unref(twin, twin_of(disk, twin, file), true);
}

struct simdisk *simdisk_twin(const struct simdisk *disk)
{
    struct simdisk *twin = simdisk_new(disk->rand.state);
    twin->file_slots = disk->file_slots;
    for (size_t i = 0; i < disk->file_slots; i++)
        if (disk->files[i] != NULL) twin->files[i] = twin_file(disk->files[i]);
    twin->dir_count = disk->dir_count;
    for (size_t i = 0; i < disk->dir_count; i++)
        twin->dirs[i] = twin_dir(disk, twin, disk->dirs[i]);
    for (size_t i = 0; i < disk->descriptor_count; i++)
        leave_unused(disk, twin, disk->descriptors[i].file);
    for (size_t i = 0; i < sizeof disk->mappings / sizeof disk->mappings[0]; i++)
        leave_unused(disk, twin, disk->mappings[i].file);
    twin->capacity = disk->capacity;
    twin->mono_ns = disk->mono_ns;
    twin->slept_ns = disk->slept_ns;
    twin->wall_ms = disk->wall_ms;
    twin->memory_bytes = disk->memory_bytes;
    memcpy(twin->limits, disk->limits, sizeof twin->limits);
    twin->process_id = disk->process_id;
    twin->fs = disk->fs;
    return twin;
}

static uint64_t digest_names(const struct simnames *names, uint64_t digest)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct simfile *file = names->at[i].file;
        digest = hash_seeded(names->at[i].name, strlen(names->at[i].name), digest);
        if (file->size > 0) digest = hash_seeded(file->cache, file->size, digest);
        if (file->medium_size > 0) digest = hash_seeded(file->medium, file->medium_size, digest);
    }
    return digest;
}

uint64_t simdisk_digest(const struct simdisk *disk)
{
    uint64_t digest = 0;
    for (size_t i = 0; i < disk->dir_count; i++)
        digest = digest_names(&disk->dirs[i]->durable, digest_names(&disk->dirs[i]->now, digest));
    return digest;
}

/* ---- control ---- */

struct simdisk *simdisk_new(uint64_t seed)
{
    static _Atomic uint64_t devices;
    struct simdisk *disk = sim_must(calloc(1, sizeof *disk));
    pthread_mutex_init(&disk->lock, NULL);
    disk->rand.state = seed;
    disk->fs = SYS_FS_MAPPABLE;
    disk->wall_ms = UINT64_C(1700000000000);
    disk->memory_bytes = UINT64_C(1) << 30;
    disk->limits[SYS_LIMIT_FILES] = 1024;
    disk->limits[SYS_LIMIT_FILE_BYTES] = UINT64_MAX;
    disk->process_id = 4711;
    disk->device = ~++devices;
    return disk;
}

void simdisk_free(struct simdisk *disk)
{
    simdisk_end_process(disk);
    for (size_t i = 0; i < disk->dir_count; i++) {
        struct simdir *dir = disk->dirs[i];
        forget_operations(disk, dir);
        names_clear(disk, &dir->now, true);
        names_clear(disk, &dir->durable, false);
        free(dir->operations);
        free(dir);
    }
    for (size_t i = 0; i < sizeof disk->mappings / sizeof disk->mappings[0]; i++)
        free(disk->mappings[i].at);
    free(disk->descriptors);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

uint64_t simdisk_call_count(const struct simdisk *disk)
{
    return disk->calls;
}

void simdisk_fail_at(struct simdisk *disk, uint64_t nth, int error, bool forever)
{
    pthread_mutex_lock(&disk->lock);
    disk->fail_at = nth == 0 ? 0 : disk->calls + nth;
    disk->fail_error = error;
    disk->fail_forever = forever;
    pthread_mutex_unlock(&disk->lock);
}

void simdisk_cut_at(struct simdisk *disk, uint64_t nth)
{
    pthread_mutex_lock(&disk->lock);
    disk->cut_at = nth == 0 ? 0 : disk->calls + nth;
    pthread_mutex_unlock(&disk->lock);
}

bool simdisk_is_off(const struct simdisk *disk)
{
    return disk->is_off;
}

void simdisk_kill(struct simdisk *disk)
{
    simdisk_end_process(disk);
    disk->is_off = false;
    disk->fail_at = disk->cut_at = 0;
    disk->process_id++;
}

void simdisk_beside(struct simdisk *disk, bool is_beside)
{
    disk->is_beside = is_beside;
}

void simdisk_power_loss(struct simdisk *disk, enum simdisk_loss loss)
{
    for (size_t i = 0; i < disk->descriptor_count; i++)
        disk->descriptors[i].is_beside = false;
    simdisk_kill(disk);
    for (size_t i = 0; i < disk->file_slots; i++)
        if (disk->files[i] != NULL) lose_bytes(disk, disk->files[i], loss);
    for (size_t i = 0; i < disk->dir_count; i++)
        lose_names(disk, disk->dirs[i], loss);
}

void simdisk_settle(struct simdisk *disk)
{
    for (size_t i = 0; i < disk->file_slots; i++) {
        struct simfile *file = disk->files[i];
        if (file == NULL) continue;
        simfile_write_out(file, 0, file->cap);
        file->medium_size = file->size;
    }
    for (size_t i = 0; i < disk->dir_count; i++)
        simnames_settle(disk, disk->dirs[i]);
}

uint8_t *simdisk_bytes(struct simdisk *disk, const char *dir, const char *name, uint64_t *len)
{
    const struct simdir *found = simdisk_find_dir(disk, dir);
    const struct simfile *file = found != NULL ? simnames_get(&found->now, name) : NULL;
    if (file == NULL) return NULL;
    static uint8_t no_bytes[1];
    *len = file->size;
    return file->cap > 0 ? file->cache : no_bytes;
}

void simdisk_full(struct simdisk *disk, uint64_t bytes)
{
    pthread_mutex_lock(&disk->lock);
    disk->capacity = bytes;
    pthread_mutex_unlock(&disk->lock);
}

void simdisk_set_wall_ms(struct simdisk *disk, uint64_t wall_ms)
{
    pthread_mutex_lock(&disk->lock);
    disk->wall_ms = wall_ms - disk->slept_ns / 1000000;
    pthread_mutex_unlock(&disk->lock);
}

void simdisk_set_fs(struct simdisk *disk, enum sys_fs kind)
{
    disk->fs = kind;
}

void simdisk_set_limit(struct simdisk *disk, enum sys_limit which, uint64_t limit)
{
    disk->limits[which] = limit;
}

void simdisk_set_memory_bytes(struct simdisk *disk, uint64_t bytes)
{
    disk->memory_bytes = bytes;
}
