/*
 * test_survive.c - which entries may be left out: cases as tables, and random ones against what readers see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "db/db.h"

#include "../lib/sst_lab.h"

enum { SNAPSHOTS_MAX = 8, VERSIONS_MAX = 12 };

/* A database of which only what survival_init() looks at is there. */
struct world {
    loam_db *db;
    loam_snapshot snaps[SNAPSHOTS_MAX];
};

static void make_world(struct world *world, const uint64_t *snaps, size_t count, uint64_t visible)
{
    memset(world, 0, sizeof *world);
    world->db = calloc(1, sizeof *world->db);
    mutex_init(&world->db->snapshots);
    atomic_init(&world->db->visible, visible);
    for (size_t i = 0; i < count; i++) {
        world->snaps[i].db = world->db;
        world->snaps[i].seq = snaps[i];
        world->snaps[i].prev = i > 0 ? &world->snaps[i - 1] : NULL;
        world->snaps[i].next = i + 1 < count ? &world->snaps[i + 1] : NULL;
    }
    world->db->snapshot_count = (uint32_t)count;
    if (count > 0) world->db->snapshot_oldest = &world->snaps[0];
    if (count > 0) world->db->snapshot_newest = &world->snaps[count - 1];
}

static void end_world(struct world *world)
{
    mutex_deinit(&world->db->snapshots);
    free(world->db);
}

/* What goes into the output. */
struct output {
    struct entry entry; /* the latest; its value is not kept */
    size_t count;
};

static loam_status note_output(void *ctx, const struct entry *entry)
{
    struct output *output = ctx;
    output->entry = *entry;
    output->count++;
    return LOAM_OK;
}

/* Of what is no operand it is known at once. */
static loam_status ask(struct survival *survival, const struct entry *entry, bool *keep)
{
    struct output output = {.count = 0};
    survival->put = note_output;
    survival->ctx = &output;
    const loam_status rc = survival_take(survival, entry);
    *keep = output.count > 0;
    if (*keep) assert_true(output.entry.seq == entry->seq && output.entry.kind == entry->kind);
    return rc;
}

/* Entries as text, newest first: P9 a put at 9, D7 a delete at 7, '|' another key. What is kept goes to kept. */
static void ask_all(struct survival *survival, const char *entries, char kept[static 200])
{
    char key[2] = "a";
    kept[0] = '\0';
    for (const char *at = entries; *at != '\0';) {
        if (*at == ' ') {
            at++;
            continue;
        }
        if (*at == '|') {
            key[0]++;
            strcat(kept, "| ");
            at++;
            continue;
        }
        char *end;
        bool keep = false;
        const uint8_t kind = *at == 'P' ? ENTRY_PUT : ENTRY_DELETE;
        const struct entry entry = {
            .key = loam_str(key), .seq = strtoull(at + 1, &end, 10), .kind = kind};
        assert_int_equal(ask(survival, &entry, &keep), LOAM_OK);
        if (keep) {
            strncat(kept, at, (size_t)(end - at));
            strcat(kept, " ");
        }
        at = end;
    }
}

struct drop_case {
    const char *why;
    uint64_t snaps[SNAPSHOTS_MAX];
    size_t snap_count;
    uint64_t visible;
    const char *entries, *kept;
};

static const struct drop_case at_the_bottom[] = {
    {"the newest put stays", {0}, 0, 9, "P5", "P5 "},
    {"an older put that nobody reads goes", {0}, 0, 9, "P5 P3", "P5 "},
    {"all older ones go", {0}, 0, 9, "P8 P5 P3 P1", "P8 "},
    {"a tombstone with nothing below goes", {0}, 0, 9, "D5", ""},
    {"and takes what it hides along", {0}, 0, 9, "D5 P3 P1", ""},
    {"a put over a tombstone", {0}, 0, 9, "P7 D5 P3", "P7 "},
    {"a snapshot keeps what it reads", {3}, 1, 9, "P5 P3 P1", "P5 P3 "},
    {"a snapshot between versions", {4}, 1, 9, "P5 P3 P1", "P5 P3 "},
    {"a snapshot at the newest", {5}, 1, 9, "P5 P3", "P5 "},
    {"a snapshot below all", {2}, 1, 9, "P5 P3", "P5 "},
    {"the oldest snapshot at zero", {0}, 1, 9, "P5 P3", "P5 "},
    {"two snapshots", {2, 6}, 2, 9, "P8 P7 P5 P4 P2 P1", "P8 P5 P2 "},
    {"two snapshots in one gap", {5, 6}, 2, 9, "P8 P4 P2", "P8 P4 "},
    {"a tombstone above a snapshot that reads a put", {4}, 1, 9, "D6 P3", "D6 P3 "},
    {"a tombstone below the oldest snapshot goes", {7}, 1, 9, "D6 P3", ""},
    {"a tombstone at the oldest snapshot goes", {6}, 1, 9, "D6 P3", ""},
    {"a tombstone between snapshots stays", {4, 8}, 2, 9, "D6 P3", "D6 P3 "},
    {"an old tombstone under a newer put", {6}, 1, 9, "P8 D5 P2", "P8 "},
    {"a younger tombstone that a snapshot reads", {3, 6}, 2, 9, "P8 D5 P2", "P8 D5 P2 "},
    {"tombstones one over another", {0}, 0, 9, "D8 D5 D2", ""},
    {"every key on its own", {0}, 0, 9, "P5 P3 | P4 P2 | D6 P1 | P9", "P5 | P4 | | P9 "},
    {"equal snapshots", {4, 4, 4}, 3, 9, "P6 P4 P2", "P6 P4 "},
};

/* Something older than the inputs may hold the key: tombstones stay, all else is the same. */
static const struct drop_case above_others[] = {
    {"a tombstone stays", {0}, 0, 9, "D5", "D5 "},
    {"what it hides goes", {0}, 0, 9, "D5 P3 P1", "D5 "},
    {"a tombstone under a put goes", {0}, 0, 9, "P7 D5 P3", "P7 "},
    {"a tombstone under a put and a snapshot stays", {6}, 1, 9, "P7 D5 P3", "P7 D5 "},
    {"an older one of two tombstones goes", {0}, 0, 9, "D8 D5", "D8 "},
    {"two tombstones and a snapshot", {6}, 1, 9, "D8 D5 P2", "D8 D5 "},
    {"puts go as before", {3}, 1, 9, "P5 P3 P1", "P5 P3 "},
};

static void play_cases(const struct drop_case *cases, size_t count, const struct version *version)
{
    for (size_t i = 0; i < count; i++) {
        struct world world;
        struct survival survival;
        char kept[200];
        make_world(&world, cases[i].snaps, cases[i].snap_count, cases[i].visible);
        assert_int_equal(survival_init(&survival, world.db), LOAM_OK);
        assert_int_equal(survival.bound_count, cases[i].snap_count + 1);
        survival.version = version;
        survival.level = 0;
        survival.run_number = UINT64_MAX;
        ask_all(&survival, cases[i].entries, kept);
        if (strcmp(kept, cases[i].kept) != 0)
            fail_msg("%s: kept '%s', not '%s'", cases[i].why, kept, cases[i].kept);
        survival_deinit(&survival);
        end_world(&world);
    }
}

static void entries_at_the_bottom(void **state)
{
    (void)state;
    play_cases(at_the_bottom, sizeof at_the_bottom / sizeof at_the_bottom[0], NULL);
}

/* ---- versions of tables that are never read ------------------------------------------------------ */

struct shelf {
    struct sst_lab lab;
    struct version *version;
};

static void shelf_open(struct shelf *shelf)
{
    sst_lab_open(&shelf->lab, 1 << 20);
    shelf->version = version_new();
    assert_non_null(shelf->version);
}

static void shelf_add(struct shelf *shelf, uint32_t level, uint64_t run_number,
                      const char *smallest, const char *largest)
{
    const struct table_owner owner = {.store = shelf->lab.store, .cache = shelf->lab.cache};
    const struct table_meta meta = {.object = {1, ++shelf->lab.object_number},
                                    .bytes = 4096,
                                    .uid = run_number + 1000,
                                    .smallest = loam_str(smallest),
                                    .largest = loam_str(largest),
                                    .seq_min = 1,
                                    .seq_max = 1,
                                    .entry_count = 2,
                                    .page_count = 1};
    struct table *table;
    assert_int_equal(table_new(&owner, &meta, &table), LOAM_OK);
    const struct table_ref ref = {.table = table};
    struct run *run = run_new(run_number, &ref, 1);
    assert_non_null(run);
    assert_int_equal(version_add_run(shelf->version, level, run), LOAM_OK);
    run_unref(run);
    table_unref(table);
}

static void shelf_close(struct shelf *shelf)
{
    version_unref(shelf->version);
    sst_lab_close(&shelf->lab);
}

static void entries_above_a_table_that_may_hold_the_key(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    shelf_add(&shelf, LEVEL_LAST, 1, "a", "z");
    play_cases(above_others, sizeof above_others / sizeof above_others[0], shelf.version);
    shelf_close(&shelf);
}

static bool tombstone_stays(const struct shelf *shelf, uint32_t level, uint64_t run,
                            const char *key)
{
    struct world world;
    struct survival survival;
    bool keep = false;
    make_world(&world, NULL, 0, 9);
    assert_int_equal(survival_init(&survival, world.db), LOAM_OK);
    survival.version = shelf->version;
    survival.level = level;
    survival.run_number = run;
    const struct entry entry = {.key = loam_str(key), .seq = 5, .kind = ENTRY_DELETE};
    assert_int_equal(ask(&survival, &entry, &keep), LOAM_OK);
    survival_deinit(&survival);
    end_world(&world);
    return keep;
}

static void a_tombstone_stays_only_where_something_older_covers_its_key(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t level;
        uint64_t run; /* of the oldest input */
        const char *key;
        bool stays;
    } cases[] = {
        {"a flush over a run that covers it", 0, UINT64_MAX, "f", true},
        {"a flush, no run covers it", 0, UINT64_MAX, "zz", false},
        {"an older run of its level", 0, 9, "c", true},
        {"only a newer run of its level", 0, 8, "c", false},
        {"the oldest of its level, a level below", 0, 8, "g", true},
        {"a level below, other keys", 0, 8, "d", false},
        {"the bounds belong to it", 0, 8, "f", true},
        {"both of them", 0, 8, "h", true},
        {"just before", 0, 8, "ezzz", false},
        {"just behind", 0, 8, "h!", false},
        {"the last level", 1, 5, "q", true},
        {"from the last level itself", LEVEL_LAST, 1, "q", false},
        {"what is above does not count", 3, 2, "g", false},
    };
    struct shelf shelf;
    shelf_open(&shelf);
    shelf_add(&shelf, 0, 9, "a", "c");
    shelf_add(&shelf, 0, 8, "b", "d");
    shelf_add(&shelf, 1, 5, "f", "h");
    shelf_add(&shelf, LEVEL_LAST, 1, "p", "q");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (tombstone_stays(&shelf, cases[i].level, cases[i].run, cases[i].key) != cases[i].stays)
            fail_msg("%s", cases[i].why);
    shelf_close(&shelf);
}

/* ---- against what readers see ---------------------------------------------------------------------- */

struct versions { /* of one key, newest first */
    uint64_t seq[VERSIONS_MAX];
    uint8_t kind[VERSIONS_MAX];   /* as it came */
    uint8_t became[VERSIONS_MAX]; /* what survival made of it */
    uint8_t expires[VERSIONS_MAX];
    bool kept[VERSIONS_MAX];
    size_t count;
};

struct reader {
    uint64_t seq, clock;
};

/* What a reader finds: the index of a put, or -1. With kept_only, among what was kept. */
static int found_by(const struct versions *versions, struct reader reader, bool kept_only)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (versions->seq[i] > reader.seq || (kept_only && !versions->kept[i])) continue;
        const uint8_t kind = kept_only ? versions->became[i] : versions->kind[i];
        const bool shows = kind == ENTRY_PUT ||
                           (kind == ENTRY_PUT_EXPIRING && versions->expires[i] > reader.clock);
        return shows ? (int)i : -1;
    }
    return -1;
}

static void ask_version(struct survival *survival, struct versions *versions, size_t i)
{
    uint8_t value[EXPIRY_BYTES];
    put_u64(value, versions->expires[i]);
    struct entry entry = {.key = loam_str("k"), .seq = versions->seq[i], .kind = versions->kind[i]};
    if (entry.kind == ENTRY_PUT_EXPIRING) entry.value = loam_bytes(value, sizeof value);
    survival_expire(survival, &entry);
    versions->became[i] = entry.kind;
    assert_int_equal(ask(survival, &entry, &versions->kept[i]), LOAM_OK);
}

static void no_reader_sees_a_difference_and_no_put_is_kept_for_nobody(void **state)
{
    (void)state;
    struct rand rand = {2024};
    for (int round = 0; round < 40000; round++) {
        struct world world;
        struct survival survival;
        struct versions versions = {.count = 1 + (size_t)rand_below(&rand, VERSIONS_MAX - 1)};
        uint64_t snaps[SNAPSHOTS_MAX], clocks[SNAPSHOTS_MAX + 1], seq = 30;
        size_t snap_count = 0;
        for (uint64_t s = 0; s <= 24 && snap_count < SNAPSHOTS_MAX; s++)
            if (rand_below(&rand, 6) == 0) snaps[snap_count++] = s;
        for (size_t i = 0; i <= snap_count; i++) /* they only rise */
            clocks[i] = (i > 0 ? clocks[i - 1] : 0) + rand_below(&rand, 6);
        /* What is not visible yet is never an input: memtables wait for it. */
        const uint64_t visible = 30 + rand_below(&rand, 4);
        make_world(&world, snaps, snap_count, visible);
        assert_int_equal(survival_init(&survival, world.db), LOAM_OK);
        survival.clocks = clocks;
        for (size_t i = 0; i < versions.count; i++) {
            static const uint8_t kinds[] = {ENTRY_DELETE, ENTRY_PUT, ENTRY_PUT, ENTRY_PUT_EXPIRING};
            seq -= 1 + rand_below(&rand, 30 / VERSIONS_MAX);
            versions.seq[i] = seq;
            versions.kind[i] = kinds[rand_below(&rand, 4)];
            versions.expires[i] = (uint8_t)rand_below(&rand, 24);
            ask_version(&survival, &versions, i);
        }
        for (size_t i = 0; i < survival.bound_count; i++) {
            const struct reader reader = {survival.bounds[i], clocks[i]};
            assert_int_equal(found_by(&versions, reader, false), found_by(&versions, reader, true));
        }
        for (uint64_t s = visible; s <= 40; s++) { /* readers to come */
            const struct reader reader = {s, clocks[snap_count] + s - visible};
            assert_int_equal(found_by(&versions, reader, false), found_by(&versions, reader, true));
        }
        for (size_t i = 0; i < versions.count; i++) {
            bool needed = i == 0;
            for (size_t b = 0; b < survival.bound_count && i > 0; b++)
                needed |= versions.seq[i] <= survival.bounds[b] &&
                          survival.bounds[b] < versions.seq[i - 1];
            if (!needed) assert_false(versions.kept[i]);
            /* Nobody goes on carrying the value of what nobody sees. */
            bool seen = versions.expires[i] > clocks[snap_count];
            for (size_t b = 0; b < survival.bound_count; b++)
                seen |= versions.seq[i] <= survival.bounds[b] && versions.expires[i] > clocks[b];
            if (versions.kind[i] == ENTRY_PUT_EXPIRING && !seen)
                assert_int_equal(versions.became[i], ENTRY_DELETE);
        }
        assert_int_equal(survival.seen_count, versions.count);
        survival_deinit(&survival);
        end_world(&world);
    }
}

/* ---- operands --------------------------------------------------------------------------------------- */

/* A history of one key in which each operand is a letter: what a reader at any sequence number sees is a word. Operands come as a
   memtable or an earlier merge may have left them: some are joins, of which parts are there as well. */
enum { WORDS_SEQ_MAX = 24, WORD_BYTES = 64 };

struct line { /* one version in a store */
    uint64_t seq, since;
    uint8_t kind;
    char text[WORD_BYTES];
};

struct lines {
    struct line at[WORDS_SEQ_MAX + 1]; /* newest first */
    size_t count;
};

/* What a reader at s finds in lines, and then in what is older; "-": nothing. */
static void read_word(const struct lines *lines, uint64_t s, const char *older, char *word)
{
    char after[WORD_BYTES * 2] = "", joined[WORD_BYTES * 2];
    bool has_operand = false;
    for (size_t i = 0; i < lines->count; i++) {
        const struct line *line = &lines->at[i];
        if (line->seq > s) continue;
        if (line->kind == ENTRY_DELETE) {
            strcpy(word, has_operand ? after : "-");
            return;
        }
        snprintf(joined, sizeof joined, "%.60s%.60s", line->text, after);
        strcpy(after, joined);
        has_operand = true;
        if (line->kind == ENTRY_PUT) {
            strcpy(word, after);
            return;
        }
        s = line->since - 1;
    }
    if (strcmp(older, "-") == 0)
        strcpy(word, has_operand ? after : "-");
    else
        sprintf(word, "%s%s", older, after);
}

static loam_status note_line(void *ctx, const struct entry *entry)
{
    struct lines *lines = ctx;
    struct line *line = &lines->at[lines->count++];
    loam_slice text = entry->value;
    *line = (struct line){.seq = entry->seq, .kind = entry->kind};
    if (entry->kind == ENTRY_MERGE) assert_true(operand_get(entry, &line->since, &text));
    assert_true(text.len < WORD_BYTES);
    if (text.len > 0) memcpy(line->text, text.data, text.len);
    return LOAM_OK;
}

/* As a memtable joins: with the newest, as long as chance lets it. */
static void write_line(struct lines *lines, struct rand *rand, uint64_t seq)
{
    static const uint8_t kinds[] = {ENTRY_PUT, ENTRY_DELETE, ENTRY_MERGE, ENTRY_MERGE, ENTRY_MERGE};
    struct line fresh = {.seq = seq, .since = seq, .kind = kinds[rand_below(rand, 5)]};
    const struct line *newest = lines->count > 0 ? &lines->at[0] : NULL;
    if (fresh.kind != ENTRY_DELETE) fresh.text[0] = (char)('a' + seq);
    if (fresh.kind == ENTRY_MERGE && newest != NULL && rand_below(rand, 2) == 0) {
        char own = fresh.text[0];
        strcpy(fresh.text, newest->text);
        fresh.text[strlen(fresh.text)] = own;
        fresh.kind = newest->kind == ENTRY_DELETE ? ENTRY_PUT : newest->kind;
        fresh.since = newest->since;
    }
    memmove(lines->at + 1, lines->at, lines->count * sizeof *lines->at);
    lines->at[0] = fresh;
    lines->count++;
}

/* Merges lines with these readers; *out are those that stay. has_operator: it is known. */
static void survive_lines(const struct world *world, const struct lines *in,
                          const struct version *older, bool has_operator, struct lines *out)
{
    struct survival survival;
    assert_int_equal(survival_init(&survival, world->db), LOAM_OK);
    survival.version = older;
    survival.run_number = UINT64_MAX;
    survival.merger = has_operator ? operator_built_in("append") : NULL;
    survival.put = note_line;
    survival.ctx = out;
    out->count = 0;
    for (size_t i = 0; i < in->count; i++) {
        const struct line *line = &in->at[i];
        uint8_t bytes[WORD_BYTES + OPERAND_HEAD_BYTES_MAX];
        const size_t head = line->kind == ENTRY_MERGE ? operand_head_put(bytes, line->since) : 0;
        memcpy(bytes + head, line->text, strlen(line->text));
        const struct entry entry = {.key = loam_str("k"),
                                    .value = loam_bytes(bytes, head + strlen(line->text)),
                                    .seq = line->seq,
                                    .kind = line->kind};
        assert_int_equal(survival_take(&survival, &entry), LOAM_OK);
    }
    assert_int_equal(survival_end(&survival), LOAM_OK);
    assert_int_equal(survival.seen_count, in->count);
    assert_int_equal(survival.dropped_count + out->count, survival.seen_count);
    survival_deinit(&survival);
}

/* All of a key is merged again and again, for ever fewer readers. */
static void operands_are_joined_and_no_reader_sees_a_difference(void **state)
{
    (void)state;
    struct shelf shelf;
    struct rand rand = {4711};
    size_t kept = 0, alone = 0;
    shelf_open(&shelf);
    shelf_add(&shelf, LEVEL_LAST, 1, "a", "z");
    for (int round = 0; round < 30000; round++) {
        struct lines lines = {.count = 0}, out;
        uint64_t snaps[SNAPSHOTS_MAX];
        const bool has_older = rand_below(&rand, 2) == 0, has_operator = rand_below(&rand, 8) != 0;
        const char *older = has_older ? "OLD" : "-";
        const uint64_t first = 2 + rand_below(&rand, 3);
        for (uint64_t seq = first; seq <= WORDS_SEQ_MAX - rand_below(&rand, 12); seq++)
            write_line(&lines, &rand, seq);
        for (uint64_t chance = 2; chance < 40; chance *= 2) { /* ever fewer readers */
            struct world world;
            size_t snap_count = 0;
            for (uint64_t s = 1; s <= WORDS_SEQ_MAX && snap_count < SNAPSHOTS_MAX; s++)
                if (rand_below(&rand, chance) == 0) snaps[snap_count++] = s;
            make_world(&world, snaps, snap_count, WORDS_SEQ_MAX);
            survive_lines(&world, &lines, has_older ? shelf.version : NULL, has_operator, &out);
            for (size_t i = 0; i <= snap_count; i++) {
                char before[200], after[200];
                const uint64_t s = i < snap_count ? snaps[i] : WORDS_SEQ_MAX;
                read_word(&lines, s, older, before);
                read_word(&out, s, older, after);
                assert_string_equal(before, after);
            }
            end_world(&world);
            lines = out;
        }
        if (!has_operator) continue;
        struct world world;
        make_world(&world, NULL, 0, WORDS_SEQ_MAX);
        survive_lines(&world, &lines, has_older ? shelf.version : NULL, true, &out);
        assert_true(out.count <= 1); /* nobody reads between: all is joined */
        if (!has_older && out.count == 1) assert_int_equal(out.at[0].kind, ENTRY_PUT);
        kept += out.count;
        alone += !has_older;
        end_world(&world);
    }
    assert_true(kept > 1000 && alone > 1000);
    shelf_close(&shelf);
}

static void running_out_of_memory_is_said(void **state)
{
    (void)state;
    struct world world;
    struct survival survival;
    bool keep;
    const struct entry entry = {.key = loam_str("k"), .seq = 1, .kind = ENTRY_PUT};
    make_world(&world, NULL, 0, 9);
    mem_fail_at(1, 0);
    assert_int_equal(survival_init(&survival, world.db), LOAM_NOMEM);
    survival_deinit(&survival);
    assert_int_equal(survival_init(&survival, world.db), LOAM_OK);
    mem_fail_at(1, 0);
    assert_int_equal(ask(&survival, &entry, &keep), LOAM_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(ask(&survival, &entry, &keep), LOAM_OK);
    assert_true(keep);
    survival_deinit(&survival);
    end_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_at_the_bottom),
        cmocka_unit_test(entries_above_a_table_that_may_hold_the_key),
        cmocka_unit_test(a_tombstone_stays_only_where_something_older_covers_its_key),
        cmocka_unit_test(no_reader_sees_a_difference_and_no_put_is_kept_for_nobody),
        cmocka_unit_test(operands_are_joined_and_no_reader_sees_a_difference),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests_name("db/survive", tests, NULL, NULL);
}
