/* grid.c - see grid.h. */
#include "shell/grid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shell/grow.h"
#include "shell/screen.h"

void grid_init(struct grid *grid, const char *const *titles, const char *align)
{
    *grid = (struct grid){.titles = titles, .align = align, .columns = strlen(align)};
}

void grid_add(struct grid *grid, const char *text)
{
    grid->cell = grow_array(grid->cell, grid->cell_count + 1, sizeof *grid->cell);
    grid->cell[grid->cell_count++] = grow_copy_text(text);
}

void grid_add_number(struct grid *grid, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    grid_add(grid, text);
}

static size_t text_columns(const char *text)
{
    size_t used = 0;
    (void)screen_fit(loam_str(text), SIZE_MAX, &used);
    return used;
}

static size_t column_width(const struct grid *grid, size_t column)
{
    size_t width = text_columns(grid->titles[column]);
    for (size_t i = column; i < grid->cell_count; i += grid->columns) {
        const size_t cell = text_columns(grid->cell[i]);
        if (cell > width) width = cell;
    }
    return width;
}

static void add_padding(struct grow *line, size_t columns)
{
    for (size_t i = 0; i < columns; i++)
        grow_add_byte(line, ' ');
}

/* One row of cells, aligned and two blanks apart, cut to the terminal. */
static void print_row(const struct grid *grid, struct sink *sink, const char *const *cells,
                      const size_t *widths, size_t columns)
{
    struct grow line = {0};
    for (size_t i = 0; i < grid->columns; i++) {
        const size_t padding = widths[i] - text_columns(cells[i]);
        if (i > 0) add_padding(&line, 2);
        if (grid->align[i] == 'r') add_padding(&line, padding);
        grow_add_text(&line, cells[i]);
        if (grid->align[i] == 'l' && i + 1 < grid->columns) add_padding(&line, padding);
    }
    size_t used = 0;
    sink_write(sink, line.data, screen_fit(grow_slice(&line), columns, &used));
    grow_free(&line);
}

static void print_for_pipe(const struct grid *grid, struct sink *sink)
{
    for (size_t i = 0; i < grid->cell_count; i++) {
        sink_text(sink, grid->cell[i]);
        sink_byte(sink, (i + 1) % grid->columns == 0 ? '\n' : '\t');
    }
}

void grid_print(const struct grid *grid, struct sink *sink, size_t columns, bool colour)
{
    if (columns == 0) {
        print_for_pipe(grid, sink);
        return;
    }
    size_t *widths = grow_array(NULL, grid->columns, sizeof *widths);
    for (size_t i = 0; i < grid->columns; i++)
        widths[i] = column_width(grid, i);
    if (colour) sink_text(sink, "\033[1m");
    print_row(grid, sink, grid->titles, widths, columns);
    sink_text(sink, colour ? "\033[0m\n" : "\n");
    for (size_t i = 0; i + grid->columns <= grid->cell_count; i += grid->columns) {
        print_row(grid, sink, (const char *const *)grid->cell + i, widths, columns);
        sink_byte(sink, '\n');
    }
    free(widths);
}

void grid_deinit(struct grid *grid)
{
    for (size_t i = 0; i < grid->cell_count; i++)
        free(grid->cell[i]);
    free(grid->cell);
    *grid = (struct grid){0};
}
