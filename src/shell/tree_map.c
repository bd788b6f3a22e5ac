/* tree_map.c - see tree_map.h. */
#include "shell/tree_map.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/text.h"
#include "shell/key_axis.h"
#include "shell/screen.h"
#include "shell/tell.h"
#include "shell/words.h"

enum {
    LABEL_COLUMNS = 14, /* "L0 run 123456 " */
    LABEL_COLUMNS_MIN = 3,
    FIGURES_COLUMNS = 44,
    MAP_COLUMNS_MIN = 16,
    MAP_COLUMNS_MAX = 400,
    TOMBSTONES_SOME = 10, /* percent */
    TOMBSTONES_MANY = 25
};

/* ---- collecting ------------------------------------------------------------------------------ */

static uint64_t number_of(const loam_finding *finding, const char *name)
{
    const loam_fact *fact = tell_fact(finding, name);
    return fact != NULL ? fact->number : 0;
}

static loam_slice copy_of(const loam_finding *finding, const char *name)
{
    const loam_fact *fact = tell_fact(finding, name);
    if (fact == NULL || fact->bytes.len == 0) return loam_bytes("", 0);
    struct grow copy = {0};
    grow_add(&copy, fact->bytes.data, fact->bytes.len);
    return loam_bytes(copy.data, copy.len);
}

bool tree_map_take(void *ctx, const loam_finding *finding)
{
    struct tree_map *map = ctx;
    if (strcmp(finding->kind, "tree") == 0) {
        const loam_fact *name = tell_fact(finding, "collection");
        map->coll = grow_copy_text(name != NULL ? name->bytes.data : "");
        map->sequence = number_of(finding, "sequence");
        map->debt_bytes = number_of(finding, "debt_bytes");
    } else if (strcmp(finding->kind, "memtable") == 0) {
        map->memtables =
            grow_array(map->memtables, map->memtable_count + 1, sizeof *map->memtables);
        map->memtables[map->memtable_count++] =
            (struct map_memtable){number_of(finding, "entries"), number_of(finding, "bytes"),
                                  number_of(finding, "full_bytes")};
    } else if (strcmp(finding->kind, "run") == 0) {
        map->runs = grow_array(map->runs, map->run_count + 1, sizeof *map->runs);
        map->runs[map->run_count++] =
            (struct map_run){.level = number_of(finding, "level"),
                             .number = number_of(finding, "run"),
                             .bytes = number_of(finding, "bytes"),
                             .entries = number_of(finding, "entries"),
                             .tombstones = number_of(finding, "tombstones"),
                             .age = number_of(finding, "age"),
                             .first = map->table_count};
    } else if (strcmp(finding->kind, "table") == 0 && map->run_count > 0) {
        map->tables = grow_array(map->tables, map->table_count + 1, sizeof *map->tables);
        map->tables[map->table_count++] =
            (struct map_table){.from = copy_of(finding, "from"),
                               .to = copy_of(finding, "to"),
                               .bytes = number_of(finding, "bytes"),
                               .entries = number_of(finding, "entries"),
                               .tombstones = number_of(finding, "tombstones")};
        map->runs[map->run_count - 1].count++;
    }
    return true;
}

static void free_slice(loam_slice slice)
{
    void *bytes;
    memcpy(&bytes, &slice.data, sizeof bytes);
    if (slice.len > 0) free(bytes);
}

void tree_map_deinit(struct tree_map *map)
{
    for (size_t i = 0; i < map->table_count; i++) {
        free_slice(map->tables[i].from);
        free_slice(map->tables[i].to);
    }
    free(map->coll);
    free(map->memtables);
    free(map->runs);
    free(map->tables);
    *map = (struct tree_map){0};
}

static struct key_axis axis_of(const struct tree_map *map)
{
    struct axis_span *spans = grow_array(NULL, map->table_count + 1, sizeof *spans);
    for (size_t i = 0; i < map->table_count; i++)
        spans[i] = (struct axis_span){map->tables[i].from, map->tables[i].to, map->tables[i].bytes};
    const struct key_axis axis = key_axis_of(spans, map->table_count);
    free(spans);
    return axis;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void add_format(struct grow *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_format(struct grow *text, const char *format, ...)
{
    char line[MAP_COLUMNS_MAX + 1];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    grow_add_text(text, line);
}

/* Of one column; colour 0: none. */
struct cell {
    enum { CELL_EMPTY, CELL_FIRST, CELL_MIDDLE, CELL_LAST, CELL_ONLY } kind;
    unsigned colour;
};

static unsigned percent_of(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (unsigned)((double)part / (double)whole * 100) : 0;
}

/* Red and yellow where tombstones wait to go; else by age: what is newest is brightest. */
static unsigned colour_of(const struct map_table *table, const struct map_run *run)
{
    const unsigned tombstones = percent_of(table->tombstones, table->entries);
    if (tombstones >= TOMBSTONES_MANY) return 31;
    if (tombstones >= TOMBSTONES_SOME) return 33;
    if (run->level == 0) return 36;
    return run->level + 2 >= LOAM_LEVELS_MAX ? 34 : 32;
}

/* *free_column: the first column that no table of the run has. Tables that share one stand beside each other while there is room. */
static void lay_table(struct cell *cells, size_t columns, const struct key_axis *axis,
                      const struct map_table *table, unsigned colour, size_t *free_column)
{
    size_t first = (size_t)(key_axis_begin(axis, table->from) * (double)columns + 0.5);
    size_t end = (size_t)(key_axis_end(axis, table->to) * (double)columns + 0.5);
    if (first < *free_column && end > *free_column) first = *free_column;
    if (first >= columns) first = columns - 1;
    if (end <= first) end = first + 1;
    if (end > columns) end = columns;
    *free_column = end;
    for (size_t i = first; i < end; i++)
        cells[i] = (struct cell){CELL_MIDDLE, colour};
    cells[first].kind = CELL_FIRST;
    cells[end - 1].kind = end - first == 1 ? CELL_ONLY : CELL_LAST;
}

static void add_cells(struct grow *text, const struct cell *cells, size_t columns,
                      const struct map_look *look)
{
    static const char *const plain[] = {".", "[", "=", "]", "#"};
    static const char *const fine[] = {"\u00b7", "\u2590", "\u2588", "\u258c", "\u2588"};
    unsigned colour = 0;
    for (size_t i = 0; i < columns; i++) {
        const unsigned wanted = look->colour ? cells[i].colour : 0;
        if (wanted != colour) add_format(text, "\033[%um", wanted);
        colour = wanted;
        grow_add_text(text, look->utf8 ? fine[cells[i].kind] : plain[cells[i].kind]);
    }
    if (colour != 0) grow_add_text(text, "\033[0m");
}

/* What a line is divided into. Figures go first when it is short, then labels. */
struct layout {
    int label, map;
    bool has_figures;
};

static struct layout layout_of(size_t columns)
{
    struct layout layout = {LABEL_COLUMNS, MAP_COLUMNS_MAX, true};
    const size_t beside = LABEL_COLUMNS + FIGURES_COLUMNS;
    if (columns < beside + MAP_COLUMNS_MIN)
        layout = (struct layout){columns < LABEL_COLUMNS + MAP_COLUMNS_MIN ? LABEL_COLUMNS_MIN
                                                                           : LABEL_COLUMNS,
                                 1, false};
    const size_t taken = layout.has_figures ? beside : (size_t)layout.label;
    if (columns > taken)
        layout.map = columns - taken < MAP_COLUMNS_MAX ? (int)(columns - taken) : MAP_COLUMNS_MAX;
    return layout;
}

static void add_label(struct grow *text, const struct layout *layout, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_label(struct grow *text, const struct layout *layout, const char *format, ...)
{
    char label[40];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(label, sizeof label, format, args);
    va_end(args);
    add_format(text, "%-*.*s", layout->label, layout->label - 1, label);
}

/* "999", "1.2k", "123M": at most five characters. */
static const char *short_count(char text[static 8], uint64_t count)
{
    static const char units[] = " kMGTPE";
    double value = (double)count;
    size_t unit = 0;
    for (; value >= 999.5; unit++)
        value /= 1000;
    if (unit == 0)
        (void)snprintf(text, 8, "%u", (unsigned)count);
    else
        (void)snprintf(text, 8, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return text;
}

static void draw_run(const struct tree_map *map, const struct map_run *run,
                     const struct key_axis *axis, const struct map_look *look, struct grow *text)
{
    const struct layout layout = layout_of(look->columns);
    struct cell cells[MAP_COLUMNS_MAX] = {{CELL_EMPTY, 0}};
    char size[TEXT_SIZE_BYTES_MAX], tables[8], age[8];
    size_t free_column = 0;
    for (size_t i = run->first; i < run->first + run->count; i++)
        lay_table(cells, (size_t)layout.map, axis, &map->tables[i], colour_of(&map->tables[i], run),
                  &free_column);
    add_label(text, &layout, "L%" PRIu64 " run %" PRIu64, run->level, run->number);
    add_cells(text, cells, (size_t)layout.map, look);
    if (layout.has_figures)
        add_format(text, " %5s table%s %10s %3u%% del age %s", short_count(tables, run->count),
                   run->count == 1 ? " " : "s", text_format_size(size, run->bytes),
                   percent_of(run->tombstones, run->entries), short_count(age, run->age));
    grow_add_text(text, "\n");
}

static void draw_memtable(const struct map_memtable *memtable, size_t number,
                          const struct map_look *look, struct grow *text)
{
    const struct layout layout = layout_of(look->columns);
    struct cell cells[MAP_COLUMNS_MAX] = {{CELL_EMPTY, 0}};
    char size[TEXT_SIZE_BYTES_MAX], full[TEXT_SIZE_BYTES_MAX], entries[8];
    const double share =
        memtable->full_bytes > 0 ? (double)memtable->bytes / (double)memtable->full_bytes : 0;
    for (int i = 0; i < layout.map && i < (int)(share * layout.map); i++)
        cells[i] = (struct cell){CELL_MIDDLE, 35};
    add_label(text, &layout, "memtable %zu", number);
    add_cells(text, cells, (size_t)layout.map, look);
    if (layout.has_figures)
        add_format(text, " %5s entries, %s of %s", short_count(entries, memtable->entries),
                   text_format_size(size, memtable->bytes),
                   text_format_size(full, memtable->full_bytes));
    grow_add_text(text, "\n");
}

/* The first and the last key under the ends of the map. */
static void draw_axis(const struct key_axis *axis, const struct map_look *look, struct grow *text)
{
    const struct layout layout = layout_of(look->columns);
    const size_t half = (size_t)(layout.map > 3 ? layout.map / 2 - 1 : 0);
    struct grow first = {0}, last = {0};
    size_t first_used = 0, last_used = 0;
    word_escape(&first, axis->bounds[0]);
    word_escape(&last, axis->bounds[axis->count - 1]);
    const size_t first_bytes = screen_fit(grow_slice(&first), half, &first_used);
    const size_t last_bytes = screen_fit(grow_slice(&last), half, &last_used);
    add_format(text, "%*s", layout.label, "");
    grow_add(text, first.data, first_bytes);
    add_format(text, "%*s", layout.map - (int)first_used - (int)last_used, "");
    grow_add(text, last.data, last_bytes);
    grow_add_text(text, "\n");
    grow_free(&first);
    grow_free(&last);
}

static void draw_title(const struct tree_map *map, const struct map_look *look, struct grow *text)
{
    struct grow title = {0};
    char debt[TEXT_SIZE_BYTES_MAX];
    size_t used = 0;
    word_escape(&title, loam_str(map->coll != NULL ? map->coll : ""));
    add_format(&title, ": %zu run%s, %zu table%s, sequence %" PRIu64 ", merges have %s to do",
               map->run_count, map->run_count == 1 ? "" : "s", map->table_count,
               map->table_count == 1 ? "" : "s", map->sequence,
               text_format_size(debt, map->debt_bytes));
    if (look->colour) grow_add_text(text, "\033[1m");
    grow_add(text, title.data, screen_fit(grow_slice(&title), look->columns, &used));
    if (look->colour) grow_add_text(text, "\033[0m");
    grow_add_text(text, "\n");
    grow_free(&title);
}

void tree_map_draw(struct tree_map *map, const struct map_look *look, struct grow *text)
{
    draw_title(map, look, text);
    for (size_t i = 0; i < map->memtable_count; i++)
        draw_memtable(&map->memtables[i], i, look, text);
    if (map->table_count == 0) return;
    struct key_axis axis = axis_of(map);
    for (size_t i = 0; i < map->run_count; i++)
        draw_run(map, &map->runs[i], &axis, look, text);
    draw_axis(&axis, look, text);
    key_axis_free(&axis);
}
