/*
 * fixture.c - a store in a directory of its own; see fixture.h.
 */
#include "fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- directories --------------------------------------------------------------------------- */

int fixture_set_up(void **state)
{
    const char *temporary = getenv("TMPDIR");
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->home, sizeof f->home, "%s/loam-api-XXXXXX",
             temporary != NULL && strlen(temporary) < 150 ? temporary : "/tmp");
    assert_non_null(mkdtemp(f->home));
    snprintf(f->store, sizeof f->store, "%s/store", f->home);
    *state = f;
    return 0;
}

int fixture_set_up_open(void **state)
{
    fixture_set_up(state);
    fixture_open(*state, NULL);
    return 0;
}

static void remove_tree(const char *path)
{
    char inner[1024];
    DIR *dir = opendir(path);
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner) < 0) remove_tree(inner);
    }
    closedir(dir);
    rmdir(path);
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->db != NULL && loam_close(f->db) < 0) print_error("closing: %s\n", loam_errmsg());
    remove_tree(f->home);
    free(f);
    return 0;
}

loam_options fixture_options(void)
{
    loam_options options = loam_options_default();
    options.durability = LOAM_DURABLE_PROCESS;
    options.memory_bytes = 32 << 20;
    return options;
}

void fixture_open(struct fixture *f, const loam_options *options)
{
    const loam_options usual = fixture_options();
    assert_null(f->db);
    expect_ok(loam_open(f->store, options == NULL ? &usual : options, &f->db));
}

void fixture_close(struct fixture *f)
{
    expect_ok(loam_close(f->db));
    f->db = NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f, NULL);
}

const char *fixture_path(const struct fixture *f, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    return path;
}

/* ---- results ------------------------------------------------------------------------------- */

void fixture_expect_status(loam_status want, loam_status got, const char *call, const char *file,
                           int line)
{
    if (got == want) return;
    print_error("%s answered %s, not %s; loam_errmsg(): %s\n", call, loam_status_name(got),
                loam_status_name(want), loam_errmsg());
    _fail(file, line);
}

void fixture_expect_message(const char *text, const char *file, int line)
{
    if (strstr(loam_errmsg(), text) != NULL) return;
    print_error("the message does not hold '%s': %s\n", text, loam_errmsg());
    _fail(file, line);
}

void put_text(loam_db *db, loam_coll *coll, const char *key, const char *value)
{
    expect_ok(loam_put(db, coll, loam_str(key), loam_str(value)));
}

void fixture_expect_text(struct fixture_place place, const char *key, const char *value,
                         const char *file, int line)
{
    loam_buf found = {0};
    const loam_status rc = loam_get_at(place.db, place.coll, place.snap, loam_str(key), &found);
    fixture_expect_status(value == NULL ? LOAM_NOTFOUND : LOAM_OK, rc, key, file, line);
    if (value != NULL &&
        (found.len != strlen(value) || memcmp(found.data, value, found.len) != 0)) {
        print_error("'%s' holds '%.*s', not '%s'\n", key, (int)found.len, (const char *)found.data,
                    value);
        _fail(file, line);
    }
    loam_buf_free(&found);
}

void await_expiry(loam_db *db, loam_coll *coll, loam_slice key)
{
    while (loam_exists(db, coll, key) == LOAM_OK)
        (void)usleep(500);
}

uint64_t number_at(loam_slice bytes)
{
    uint64_t number = 0;
    size_t at = 0;
    for (; at < bytes.len && isdigit(((const unsigned char *)bytes.data)[at]); at++)
        number = number * 10 + (uint64_t)(((const char *)bytes.data)[at] - '0');
    return at > 0 ? number : UINT64_MAX;
}

/* ---- ranges -------------------------------------------------------------------------------- */

static const char *join_keys(loam_db *db, loam_coll *coll, const loam_range *range,
                             loam_status (*move)(loam_iter *it))
{
    static char joined[8192];
    size_t used = 0;
    loam_iter *it;
    loam_status rc;
    joined[0] = '\0';
    expect_ok(loam_iter_open(db, coll, range, &it));
    while ((rc = move(it)) == LOAM_OK) {
        const loam_slice key = loam_iter_key(it);
        assert_true(used + key.len + 2 < sizeof joined);
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%.*s", used > 0 ? " " : "",
                                 (int)key.len, (const char *)key.data);
    }
    expect_status(LOAM_NOTFOUND, rc);
    loam_iter_close(it);
    return joined;
}

const char *keys_forward(loam_db *db, loam_coll *coll, const loam_range *range)
{
    return join_keys(db, coll, range, loam_iter_next);
}

const char *keys_backward(loam_db *db, loam_coll *coll, const loam_range *range)
{
    return join_keys(db, coll, range, loam_iter_prev);
}

uint8_t *fixture_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    assert_non_null(bytes);
    uint64_t mixed = seed * UINT64_C(0x9e3779b97f4a7c15) + len;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) mixed = mixed * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(mixed >> (i % 8 * 8));
    }
    return bytes;
}

/* ---- another process ------------------------------------------------------------------------- */

static int child_says = -1, child_hears = -1;

struct fixture_child fixture_child_start(struct fixture *f, int (*body)(struct fixture *f))
{
    int down[2], up[2];
    char said;
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(down[1]);
        close(up[0]);
        child_hears = down[0];
        child_says = up[1];
        _exit(body(f));
    }
    close(down[0]);
    close(up[1]);
    /* Ready, or ended without a word. */
    if (read(up[0], &said, 1) < 0) fail_msg("the child's pipe: %s", strerror(errno));
    return (struct fixture_child){.pid = pid, .to_child = down[1], .from_child = up[0]};
}

void fixture_child_ready(void)
{
    char heard;
    if (write(child_says, "r", 1) != 1 || read(child_hears, &heard, 1) < 0) _exit(99);
}

int fixture_child_end(struct fixture_child *child)
{
    int status = 0;
    close(child->to_child);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->from_child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- files ------------------------------------------------------------------------------------ */

uint64_t fixture_memory_of(loam_db *db)
{
    loam_stats stats = {.struct_size = sizeof stats};
    expect_ok(loam_stats_get(db, &stats));
    return stats.memtable_bytes + stats.cache_bytes + stats.metadata_bytes;
}

size_t fixture_file_count(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

void fixture_make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

void fixture_flip_byte(const char *path, uint64_t offset)
{
    uint8_t byte;
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

bool fixture_find_file(const struct fixture *f, const char *ending, char path[static 512])
{
    struct stat found, best = {.st_size = -1};
    char candidate[512];
    DIR *dir = opendir(f->store);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const size_t len = strlen(entry->d_name), end = strlen(ending);
        if (len < end || strcmp(entry->d_name + len - end, ending) != 0) continue;
        snprintf(candidate, sizeof candidate, "%s/%s", f->store, entry->d_name);
        if (stat(candidate, &found) < 0 || found.st_size <= best.st_size) continue;
        best = found;
        memcpy(path, candidate, sizeof candidate);
    }
    closedir(dir);
    return best.st_size >= 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

char *fixture_listing(const char *path)
{
    enum { LINE = 400, LINES = 64 };
    static char lines[LINES][LINE];
    char inner[1024];
    size_t count = 0;
    struct stat info;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < LINES;) {
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || stat(inner, &info) < 0) continue;
        snprintf(lines[count++], LINE, "%s %lld %lld.%ld\n", entry->d_name, (long long)info.st_size,
                 (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    }
    closedir(dir);
    qsort(lines, count, LINE, compare_lines);
    char *text = calloc(count + 1, LINE);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        strcat(text, lines[i]);
    return text;
}
