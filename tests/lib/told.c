/*
 * told.c - findings, kept to be asked; see told.h.
 */
#include "lib/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct told *told, const char *bytes, size_t len)
{
    if (told->len + len + 1 > told->cap) {
        told->cap = 2 * (told->len + len) + 256;
        told->text = realloc(told->text, told->cap);
        assert_non_null(told->text);
    }
    memcpy(told->text + told->len, bytes, len);
    told->len += len;
    told->text[told->len] = '\0';
}

static void add_text(struct told *told, const char *text)
{
    add(told, text, strlen(text));
}

static void check_form(struct told *told, const loam_finding *finding)
{
    if (told->count == 0) {
        assert_int_equal(finding->depth, 0);
        assert_true(finding->fact_count > 0);
        assert_string_equal(finding->facts[0].name, "schema");
        assert_int_equal(finding->facts[0].number, LOAM_INSPECT_SCHEMA);
    } else {
        assert_true(finding->depth > 0 && finding->depth <= told->depth + 1);
    }
    for (size_t i = 0; i < finding->fact_count; i++) {
        const char *name = finding->facts[i].name;
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(name, finding->facts[k].name);
    }
    told->depth = finding->depth;
}

bool told_take(void *ctx, const loam_finding *finding)
{
    struct told *told = ctx;
    char number[32];
    assert_true(told->stop_at == 0 || told->count < told->stop_at); /* it has said stop */
    check_form(told, finding);
    told->count++;
    add_text(told, finding->kind);
    for (size_t i = 0; i < finding->fact_count; i++) {
        const loam_fact *fact = &finding->facts[i];
        add_text(told, "|");
        add_text(told, fact->name);
        add_text(told, "=");
        if (fact->kind == LOAM_FACT_TEXT || fact->kind == LOAM_FACT_DATA) {
            if (fact->bytes.len < 400 && fact->bytes.len > 0)
                add(told, fact->bytes.data, fact->bytes.len);
        } else {
            snprintf(number, sizeof number, "%llu", (unsigned long long)fact->number);
            add_text(told, number);
        }
        if (strcmp(fact->name, "value") != 0) continue;
        told->value.len = fact->bytes.len;
        told->value.data = realloc(told->value.data, fact->bytes.len + 1);
        if (fact->bytes.len > 0) memcpy(told->value.data, fact->bytes.data, fact->bytes.len);
    }
    add_text(told, "|\n");
    return told->count != told->stop_at;
}

bool told_nothing(void *ctx, const loam_finding *finding)
{
    (void)ctx;
    return finding->kind[0] != '\0';
}

void told_free(struct told *told)
{
    free(told->text);
    free(told->value.data);
    *told = (struct told){.stop_at = told->stop_at};
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end == NULL || end[1] == '\0' ? NULL : end + 1;
}

static bool is_kind(const char *line, const char *kind)
{
    const size_t len = strlen(kind);
    return strncmp(line, kind, len) == 0 && line[len] == '|';
}

const char *told_line(const struct told *told, const char *kind, unsigned nth)
{
    for (const char *line = told->text; line != NULL; line = next_line(line))
        if (is_kind(line, kind) && nth-- == 0) return line;
    return NULL;
}

unsigned told_count(const struct told *told, const char *kind)
{
    unsigned count = 0;
    while (told_line(told, kind, count) != NULL)
        count++;
    return count;
}

/* Behind the = of the fact; NULL. */
static const char *value_of(const char *line, const char *name)
{
    const size_t len = strlen(name);
    const char *end = strchr(line, '\n');
    for (const char *at = strchr(line, '|'); at != NULL && at < end; at = strchr(at + 1, '|'))
        if (strncmp(at + 1, name, len) == 0 && at[1 + len] == '=') return at + len + 2;
    return NULL;
}

bool told_is(const char *line, const char *name, const char *value)
{
    const char *at = line != NULL ? value_of(line, name) : NULL;
    return at != NULL && strncmp(at, value, strlen(value)) == 0 && at[strlen(value)] == '|';
}

uint64_t told_number(const char *line, const char *name)
{
    const char *at = line != NULL ? value_of(line, name) : NULL;
    return at != NULL ? strtoull(at, NULL, 10) : UINT64_MAX;
}

const char *told_find(const struct told *told, const char *kind, const char *name,
                      const char *value)
{
    for (unsigned i = 0; told_line(told, kind, i) != NULL; i++)
        if (told_is(told_line(told, kind, i), name, value)) return told_line(told, kind, i);
    return NULL;
}
