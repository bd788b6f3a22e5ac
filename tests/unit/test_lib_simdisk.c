/*
 * test_lib_simdisk.c - the simulated disk forgets, keeps, fails and fills up as it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "../lib/simdisk.h"

static struct simdisk *disk;
static const struct sys *sys;
static int dir;

static int set_up(void **state)
{
    (void)state;
    disk = simdisk_new(1);
    sys = simdisk_table(disk).calls;
    assert_int_equal(sys->make_dir(disk, "d"), 0);
    dir = sys->open_dir(disk, "d");
    assert_true(dir >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    simdisk_free(disk);
    return 0;
}

static void reopen_dir(void)
{
    dir = sys->open_dir(disk, "d");
    assert_true(dir >= 0);
}

static int64_t put(int fd, uint64_t offset, const char *text, bool durable)
{
    const struct sys_piece piece = {text, strlen(text)};
    return sys->write(disk, fd, offset, &piece, 1, durable);
}

/* A file of that name with that text, both durable. */
static int durable_file(const char *name, const char *text)
{
    const int fd = sys->open(disk, dir, name, SYS_CREATE);
    assert_true(fd >= 0);
    assert_int_equal(put(fd, 0, text, false), strlen(text));
    assert_int_equal(sys->sync(disk, fd), 0);
    assert_int_equal(sys->sync_dir(disk, dir), 0);
    return fd;
}

static void assert_text(const char *name, const char *text)
{
    uint64_t len = 0;
    const uint8_t *bytes = simdisk_bytes(disk, "d", name, &len);
    assert_non_null(bytes);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
}

static bool is_there(const char *name)
{
    uint64_t len;
    return simdisk_bytes(disk, "d", name, &len) != NULL;
}

static void unsynced_bytes_survive_a_kill_and_not_power_loss(void **state)
{
    (void)state;
    const int fd = durable_file("f", "old");
    assert_int_equal(put(fd, 0, "new", false), 3);
    simdisk_kill(disk);
    assert_text("f", "new");
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_text("f", "old");
}

static void power_loss_can_keep_everything(void **state)
{
    (void)state;
    const int fd = durable_file("f", "old");
    assert_int_equal(put(fd, 0, "newer", false), 5);
    assert_true(sys->open(disk, dir, "g", SYS_CREATE) >= 0);
    simdisk_power_loss(disk, SIMDISK_LOSE_NOTHING);
    assert_text("f", "newer");
    assert_true(is_there("g"));
}

static void a_durable_write_covers_only_the_pages_it_touches(void **state)
{
    (void)state;
    const int fd = durable_file("f", "");
    assert_int_equal(sys->allocate(disk, fd, 16384), 0);
    assert_int_equal(sys->sync(disk, fd), 0);
    assert_int_equal(put(fd, 0, "far", false), 3);
    assert_int_equal(put(fd, 8192, "near", false), 4);
    assert_int_equal(put(fd, 8200, "durable", true), 7);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", "f", &len);
    assert_int_equal(len, 16384);
    assert_int_equal(bytes[0], 0);
    assert_memory_equal(bytes + 8192, "near", 4);
    assert_memory_equal(bytes + 8200, "durable", 7);
}

static void random_loss_keeps_some_sectors_whole_and_loses_others(void **state)
{
    static char text[64 * 512 + 1];
    unsigned kept = 0;
    (void)state;
    const int fd = durable_file("f", "");
    assert_int_equal(sys->allocate(disk, fd, 64 * 512), 0);
    assert_int_equal(sys->sync(disk, fd), 0);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(put(fd, 0, text, false), sizeof text - 1);
    simdisk_power_loss(disk, SIMDISK_KEEP_RANDOM);
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", "f", &len);
    for (size_t at = 0; at < len; at += 512) {
        kept += bytes[at] == 'x';
        for (size_t i = at; i < at + 512; i++)
            assert_int_equal(bytes[i], bytes[at]);
    }
    assert_true(kept > 8 && kept < 56);
}

static void prefix_loss_keeps_the_front(void **state)
{
    static char text[64 * 512 + 1];
    (void)state;
    const int fd = durable_file("f", "");
    assert_int_equal(sys->allocate(disk, fd, 64 * 512), 0);
    assert_int_equal(sys->sync(disk, fd), 0);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(put(fd, 0, text, false), sizeof text - 1);
    simdisk_power_loss(disk, SIMDISK_KEEP_PREFIX);
    uint64_t len;
    const uint8_t *bytes = simdisk_bytes(disk, "d", "f", &len);
    for (size_t i = 1; i < len; i++)
        assert_true(bytes[i] <= bytes[i - 1]);
}

static void names_need_a_sync_of_the_directory(void **state)
{
    (void)state;
    sys->close(disk, durable_file("kept", ""));
    sys->close(disk, durable_file("removed", ""));
    assert_true(sys->open(disk, dir, "new", SYS_CREATE) >= 0);
    assert_int_equal(sys->unlink(disk, dir, "removed"), 0);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_true(is_there("kept"));
    assert_true(is_there("removed"));
    assert_false(is_there("new"));
}

static void a_rename_is_lost_or_done_but_never_half(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        sys->close(disk, durable_file("a", "a"));
        sys->close(disk, durable_file("b", "b"));
        assert_int_equal(sys->rename(disk, dir, "a", "b"), 0);
        simdisk_power_loss(disk, i % SIMDISK_LOSSES);
        if (is_there("a"))
            assert_text("b", "b");
        else
            assert_text("b", "a");
        reopen_dir();
        (void)sys->unlink(disk, dir, "a");
        assert_int_equal(sys->unlink(disk, dir, "b"), 0);
    }
}

static void a_mapping_is_the_page_cache_until_the_process_dies(void **state)
{
    void *at = NULL;
    (void)state;
    const int fd = durable_file("f", "");
    assert_int_equal(sys->allocate(disk, fd, 4096), 0);
    assert_int_equal(sys->sync(disk, fd), 0);
    assert_int_equal(sys->map(disk, fd, 4096, &at), 0);
    memcpy(at, "alive", 5);
    simdisk_cut_at(disk, 1);
    assert_int_equal(sys->sync(disk, fd), -EIO);
    memcpy(at, "ghost", 5);
    assert_int_equal(sys->sync(disk, fd), -EIO);
    sys->unmap(disk, at, 4096);
    simdisk_kill(disk);
    uint64_t len;
    assert_memory_equal(simdisk_bytes(disk, "d", "f", &len), "alive", 5);
}

static void an_unlinked_file_lives_while_it_is_mapped(void **state)
{
    void *at = NULL;
    (void)state;
    const int fd = durable_file("f", "");
    assert_int_equal(sys->allocate(disk, fd, 4096), 0);
    assert_int_equal(sys->map(disk, fd, 4096, &at), 0);
    assert_int_equal(sys->unlink(disk, dir, "f"), 0);
    assert_int_equal(sys->sync_dir(disk, dir), 0);
    assert_int_equal(sys->close(disk, fd), 0);
    memcpy(at, "here", 5);
    assert_string_equal(at, "here");
    sys->unmap(disk, at, 4096);
}

static void the_nth_call_fails_once_or_for_good(void **state)
{
    (void)state;
    const int fd = durable_file("f", "text");
    uint64_t size = 0;
    simdisk_fail_at(disk, 2, EMFILE, false);
    assert_int_equal(sys->size(disk, fd, &size), 0);
    assert_int_equal(sys->size(disk, fd, &size), -EMFILE);
    assert_int_equal(sys->size(disk, fd, &size), 0);
    simdisk_fail_at(disk, 1, EIO, true);
    assert_int_equal(sys->size(disk, fd, &size), -EIO);
    assert_int_equal(sys->size(disk, fd, &size), -EIO);
    simdisk_fail_at(disk, 0, 0, false);
    assert_int_equal(sys->size(disk, fd, &size), 0);
}

static void short_counts_are_half(void **state)
{
    char text[8];
    (void)state;
    const int fd = durable_file("f", "12345678");
    simdisk_fail_at(disk, 1, SIMDISK_SHORT, false);
    assert_int_equal(sys->read(disk, fd, 0, text, 8), 4);
    simdisk_fail_at(disk, 1, SIMDISK_SHORT, false);
    assert_int_equal(put(fd, 0, "abcdefgh", false), 4);
    assert_text("f", "abcd5678");
}

static void a_failed_sync_loses_its_pages_without_another_word(void **state)
{
    (void)state;
    const int fd = durable_file("f", "old");
    const int other = sys->open(disk, dir, "f", SYS_READ_WRITE);
    assert_int_equal(put(fd, 0, "new", false), 3);
    simdisk_fail_at(disk, 1, EIO, false);
    assert_int_equal(sys->sync(disk, fd), -EIO);
    assert_int_equal(sys->sync(disk, fd), 0);
    assert_int_equal(sys->sync(disk, other), -EIO);
    assert_int_equal(sys->sync(disk, other), 0);
    assert_text("f", "new");
    simdisk_power_loss(disk, SIMDISK_LOSE_NOTHING);
    assert_text("f", "old");
}

static void writing_again_heals_what_a_failed_sync_lost(void **state)
{
    (void)state;
    const int fd = durable_file("f", "old");
    assert_int_equal(put(fd, 0, "new", false), 3);
    simdisk_fail_at(disk, 1, EIO, false);
    assert_int_equal(sys->sync(disk, fd), -EIO);
    assert_int_equal(put(fd, 0, "new", false), 3);
    assert_int_equal(sys->sync(disk, fd), 0);
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_text("f", "new");
}

static void the_cut_write_is_in_the_cache_and_nothing_after_it(void **state)
{
    (void)state;
    const int fd = durable_file("f", "old");
    simdisk_cut_at(disk, 1);
    assert_int_equal(put(fd, 0, "new", true), -EIO);
    assert_int_equal(put(fd, 0, "no!", false), -EIO);
    assert_int_equal(sys->unlink(disk, dir, "f"), -EIO);
    assert_true(simdisk_is_off(disk));
    simdisk_kill(disk);
    assert_text("f", "new");
    simdisk_power_loss(disk, SIMDISK_LOSE_ALL);
    assert_text("f", "old");
}

static void a_full_disk_takes_what_fits(void **state)
{
    static char page[4096 + 1];
    uint64_t room = 1;
    (void)state;
    memset(page, 'x', sizeof page - 1);
    simdisk_full(disk, 8192);
    const int fd = durable_file("f", page);
    assert_int_equal(sys->allocate(disk, fd, 12288), -ENOSPC);
    assert_int_equal(put(fd, 4095, page, false), 4096);
    assert_int_equal(put(fd, 8191, page, false), 1);
    assert_int_equal(put(fd, 8192, page, false), -ENOSPC);
    assert_int_equal(sys->free_bytes(disk, dir, &room), 0);
    assert_int_equal(room, 0);
    assert_int_equal(sys->unlink(disk, dir, "f"), 0);
    assert_int_equal(sys->close(disk, fd), 0);
    assert_int_equal(sys->free_bytes(disk, dir, &room), 0);
    assert_int_equal(room, 8192);
}

static void locks_go_with_their_descriptors(void **state)
{
    (void)state;
    const int other = sys->open_dir(disk, "d");
    assert_int_equal(sys->lock_dir(disk, dir, true), 0);
    assert_int_equal(sys->lock_dir(disk, other, false), -EWOULDBLOCK);
    assert_int_equal(sys->close(disk, dir), 0);
    assert_int_equal(sys->lock_dir(disk, other, false), 0);
    reopen_dir();
    assert_int_equal(sys->lock_dir(disk, dir, false), 0);
    assert_int_equal(sys->lock_dir(disk, dir, true), -EWOULDBLOCK);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FACT(unsynced_bytes_survive_a_kill_and_not_power_loss),
        FACT(power_loss_can_keep_everything),
        FACT(a_durable_write_covers_only_the_pages_it_touches),
        FACT(random_loss_keeps_some_sectors_whole_and_loses_others),
        FACT(prefix_loss_keeps_the_front),
        FACT(names_need_a_sync_of_the_directory),
        FACT(a_rename_is_lost_or_done_but_never_half),
        FACT(a_mapping_is_the_page_cache_until_the_process_dies),
        FACT(an_unlinked_file_lives_while_it_is_mapped),
        FACT(the_nth_call_fails_once_or_for_good),
        FACT(short_counts_are_half),
        FACT(a_failed_sync_loses_its_pages_without_another_word),
        FACT(writing_again_heals_what_a_failed_sync_lost),
        FACT(the_cut_write_is_in_the_cache_and_nothing_after_it),
        FACT(a_full_disk_takes_what_fits),
        FACT(locks_go_with_their_descriptors),
    };
    return cmocka_run_group_tests_name("lib/simdisk", tests, NULL, NULL);
}
