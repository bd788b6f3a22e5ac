/* key_axis.c - see key_axis.h. */
#include "shell/key_axis.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "shell/grow.h"

enum { WIDTH_CLASSES = 64 };

static const double NUMBERS_SHARE = 1.0 / 30; /* of all bytes, that distances count for */
static const double NARROWEST = 1e-15;

/* ---- keys as numbers ------------------------------------------------------------------------- */

/* A byte as a digit: which one of how many; those that separate are none. */
struct digit {
    int value, base;
};

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static struct digit digit_of(const struct key_axis *axis, int byte)
{
    const int base = axis->is_hexadecimal ? 16 : 10;
    if (is_digit(byte)) return (struct digit){byte - '0', base};
    if (is_letter(byte))
        return base == 16 ? (struct digit){(byte & 31) + 9, 16}
                          : (struct digit){(byte & 31) - 1, 26};
    if (byte >= 0 && (byte < ' ' || byte > '~')) return (struct digit){byte, 256};
    return (struct digit){0, 1};
}

static bool counts(const struct key_axis *axis, int byte)
{
    const int base = digit_of(axis, byte).base;
    return base == 10 || base == 16 || base == 256;
}

/* -1: the key has ended. */
static int byte_at(loam_slice key, size_t at)
{
    return at < key.len ? ((const uint8_t *)key.data)[at] : -1;
}

/* Letters, and then what separates, as in user/17: what stands before the number. */
static bool is_word_ahead(const struct key_axis *axis, loam_slice key, size_t at)
{
    while (digit_of(axis, byte_at(key, at)).base == 26)
        at++;
    return byte_at(key, at) >= 0 && digit_of(axis, byte_at(key, at)).base == 1;
}

/* Do the bounds have letters behind digits, and none beyond f? */
static bool are_hexadecimal(const struct key_axis *axis)
{
    bool are = false;
    for (size_t i = 0; i < axis->count; i++) {
        const loam_slice key = axis->bounds[i];
        for (size_t at = 0; at < key.len; at++) {
            const int byte = byte_at(key, at);
            if (!is_letter(byte)) continue;
            if ((byte & 31) > 6) return false;
            are = are || (at > 0 && is_digit(byte_at(key, at - 1)));
        }
    }
    return are;
}

/* Bounds that share their first `at` bytes, and where they lie. */
struct group {
    size_t low, high, at;
    double from, width;
    bool is_word; /* what comes next stands in front of the number, if there is one */
};

/* Passes the bytes that all of them share. */
static void narrow(const struct key_axis *axis, struct group *group)
{
    const loam_slice first = axis->bounds[group->low], last = axis->bounds[group->high - 1];
    const bool is_one = group->high - group->low == 1;
    for (; group->at < first.len && group->width > NARROWEST; group->at++) {
        const int byte = byte_at(first, group->at);
        if (!is_one && byte != byte_at(last, group->at)) return;
        if (group->is_word && !is_one) continue;
        const struct digit digit = digit_of(axis, byte);
        group->width /= digit.base;
        group->from += digit.value * group->width;
    }
}

static size_t end_of_part(const struct key_axis *axis, const struct group *group, size_t start)
{
    const int byte = byte_at(axis->bounds[start], group->at);
    size_t end = start + 1;
    while (end < group->high && byte_at(axis->bounds[end], group->at) == byte)
        end++;
    return end;
}

/* How far the part of `byte` is from the one before, or from the beginning. */
static int step_to(const struct key_axis *axis, const struct group *group, int byte, int before,
                   bool is_first)
{
    const struct digit digit = digit_of(axis, byte), last = digit_of(axis, before);
    if (is_first) return group->is_word || !counts(axis, byte) ? 0 : digit.value;
    return counts(axis, byte) && last.base == digit.base ? digit.value - last.value : 1;
}

static int steps_of(const struct key_axis *axis, const struct group *group)
{
    int steps = 0, before = -1;
    for (size_t i = group->low; i < group->high; i = end_of_part(axis, group, i)) {
        const int byte = byte_at(axis->bounds[i], group->at);
        steps += step_to(axis, group, byte, before, i == group->low);
        before = byte;
    }
    const struct digit last = digit_of(axis, before);
    return steps + (group->is_word || !counts(axis, before) ? 1 : last.base - last.value);
}

/* Words in front share the width evenly, as what they name has nothing to do with each other; what follows is a number. Each turn of the
   recursion is one byte further in keys that differ later, and 15 digits of width are the end of it. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void spread(struct key_axis *axis, struct group group)
{
    narrow(axis, &group);
    if (group.high - group.low == 1 || group.width <= NARROWEST) {
        for (size_t i = group.low; i < group.high; i++)
            axis->numbers[i] = group.from;
        return;
    }
    const double step = group.width / steps_of(axis, &group);
    int steps = 0, before = -1;
    for (size_t i = group.low; i < group.high;) {
        const size_t end = end_of_part(axis, &group, i);
        const int byte = byte_at(axis->bounds[i], group.at);
        steps += step_to(axis, &group, byte, before, i == group.low);
        before = byte;
        spread(axis, (struct group){i, end, group.at + 1, group.from + steps * step, step,
                                    group.is_word && digit_of(axis, byte).base == 26 &&
                                        is_word_ahead(axis, axis->bounds[i], group.at + 1)});
        i = end;
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int compare_axis_keys(const void *a, const void *b)
{
    return bytes_compare(*(const loam_slice *)a, *(const loam_slice *)b);
}

static size_t bound_of(const struct key_axis *axis, loam_slice key)
{
    const loam_slice *at = bsearch(&key, axis->bounds, axis->count, sizeof key, compare_axis_keys);
    return at != NULL ? (size_t)(at - axis->bounds) : 0;
}

static void take_bounds(struct key_axis *axis, const struct axis_span *spans, size_t count)
{
    axis->bounds = grow_array(NULL, 2 * count + 1, sizeof *axis->bounds);
    for (size_t i = 0; i < count; i++) {
        axis->bounds[2 * i] = spans[i].from;
        axis->bounds[2 * i + 1] = spans[i].to;
    }
    qsort(axis->bounds, 2 * count, sizeof *axis->bounds, compare_axis_keys);
    for (size_t i = 0; i < 2 * count; i++)
        if (axis->count == 0 || !bytes_equal(axis->bounds[axis->count - 1], axis->bounds[i]))
            axis->bounds[axis->count++] = axis->bounds[i];
}

/* What is known before any table is looked at. */
static void weigh_distances(const struct key_axis *axis, double all, double *weights)
{
    const double span = axis->numbers[axis->count - 1] - axis->numbers[0];
    for (size_t i = 0; i < 2 * axis->count - 1; i++) {
        weights[i] = all * 1e-9 / (double)axis->count;
        if (i % 2 == 1 && span > 0)
            weights[i] +=
                all * NUMBERS_SHARE * (axis->numbers[(i + 1) / 2] - axis->numbers[i / 2]) / span;
    }
}

static void sum_weights(const struct key_axis *axis, const double *weights)
{
    for (size_t i = 0; i < 2 * axis->count - 1; i++)
        axis->places[i + 1] = axis->places[i] + weights[i];
}

/* Tables that cover at least 2^width places, and fewer than twice as many. more is zeros, and is so again afterwards. */
static void weigh_tables(const struct key_axis *axis, const struct axis_span *spans, size_t count,
                         unsigned width, double *weights, double *more)
{
    sum_weights(axis, weights);
    for (size_t i = 0; i < count; i++) {
        const size_t first = 2 * bound_of(axis, spans[i].from);
        const size_t end = 2 * bound_of(axis, spans[i].to) + 1;
        if (((end - first) >> width) != 1) continue;
        const double share = (double)spans[i].bytes / (axis->places[end] - axis->places[first]);
        more[first] += share;
        more[end] -= share;
    }
    double here = 0;
    for (size_t i = 0; i < 2 * axis->count - 1; i++) {
        here += more[i];
        if (here > 0) weights[i] *= 1 + here;
    }
    memset(more, 0, 2 * axis->count * sizeof *more);
}

struct key_axis key_axis_of(const struct axis_span *spans, size_t count)
{
    struct key_axis axis = {.count = 0};
    double all = 1;
    take_bounds(&axis, spans, count);
    const size_t room = 2 * axis.count + 1;
    axis.numbers = grow_array(NULL, room, sizeof *axis.numbers);
    axis.places = grow_array(NULL, room, sizeof *axis.places);
    axis.places[0] = 0;
    if (axis.count == 0) return axis;
    double *weights = grow_array(NULL, room, sizeof *weights);
    double *more = grow_array(NULL, room, sizeof *more);
    memset(more, 0, room * sizeof *more);
    for (size_t i = 0; i < count; i++)
        all += (double)spans[i].bytes;
    axis.is_hexadecimal = are_hexadecimal(&axis);
    spread(&axis, (struct group){0, axis.count, 0, 0, 1, true});
    weigh_distances(&axis, all, weights);
    for (unsigned width = 0; width < WIDTH_CLASSES && (room >> width) > 0; width++)
        weigh_tables(&axis, spans, count, width, weights, more);
    sum_weights(&axis, weights);
    free(weights);
    free(more);
    return axis;
}

void key_axis_free(struct key_axis *axis)
{
    free(axis->bounds);
    free(axis->numbers);
    free(axis->places);
    *axis = (struct key_axis){.count = 0};
}

double key_axis_begin(const struct key_axis *axis, loam_slice key)
{
    return axis->places[2 * bound_of(axis, key)] / axis->places[2 * axis->count - 1];
}

double key_axis_end(const struct key_axis *axis, loam_slice key)
{
    return axis->places[2 * bound_of(axis, key) + 1] / axis->places[2 * axis->count - 1];
}
