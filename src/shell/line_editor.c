/* line_editor.c - see line_editor.h. */
#include "shell/line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shell/complete.h"
#include "shell/exit_code.h"
#include "shell/grow.h"
#include "shell/history_file.h"
#include "shell/screen.h"
#include "shell/signals.h"
#include "shell/words.h"

struct line_editor {
    const struct session *session;
    EditLine *edit;
    History *history;
    struct history_file file;
    struct grow prompt;
    bool hints;
};

static struct line_editor *editor_of(EditLine *edit)
{
    void *data = NULL;
    (void)el_get(edit, EL_CLIENTDATA, &data);
    return data;
}

static char *show_prompt(EditLine *edit)
{
    return editor_of(edit)->prompt.data;
}

static void compose_prompt(struct line_editor *editor)
{
    const char *name = editor->session->coll_name;
    editor->prompt.len = 0;
    if (strcmp(name, "default") == 0)
        grow_add_text(&editor->prompt, "loam");
    else
        word_escape(&editor->prompt, loam_str(name));
    grow_add_text(&editor->prompt, "> ");
    grow_add_byte(&editor->prompt, '\0');
}

static void write_terminal(const void *bytes, size_t len)
{
    /* What does not arrive at the terminal cannot be helped. */
    if (write(STDOUT_FILENO, bytes, len) < 0) return;
}

/* The line up to its cursor as bytes. */
static void line_before_cursor(EditLine *edit, struct grow *line)
{
    const LineInfoW *info = el_wline(edit);
    mbstate_t state;
    memset(&state, 0, sizeof state);
    for (const wchar_t *at = info->buffer; at < info->cursor; at++) {
        const size_t len = wcrtomb(grow_reserve(line, MB_LEN_MAX), *at, &state);
        if (len != (size_t)-1) line->len += len;
    }
}

/* Draws the hint behind the cursor; the next key takes it away. True when there is one. */
static bool draw_hint(struct line_editor *editor)
{
    const LineInfoW *info = el_wline(editor->edit);
    struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!editor->hints || info->cursor != info->lastchar || info->cursor == info->buffer)
        return false;
    /* Pasted text need not be hinted at letter by letter. */
    if (poll(&more, 1, 0) > 0) return false;
    struct grow line = {0}, hint = {0}, drawn = {0};
    size_t prompt_used = 0, line_used = 0, hint_used = 0;
    line_before_cursor(editor->edit, &line);
    complete_hint(grow_slice(&line), &hint);
    (void)screen_fit(loam_str(editor->prompt.data), SIZE_MAX, &prompt_used);
    (void)screen_fit(grow_slice(&line), SIZE_MAX, &line_used);
    const size_t columns = screen_columns(STDOUT_FILENO);
    const bool fits = hint.len > 0 && prompt_used + line_used + 2 < columns;
    if (fits) {
        const size_t room = columns - prompt_used - line_used - 1;
        grow_add_text(&drawn, "\0337\033[90m");
        grow_add(&drawn, hint.data, screen_fit(grow_slice(&hint), room, &hint_used));
        grow_add_text(&drawn, "\033[0m\033[K\0338");
        write_terminal(drawn.data, drawn.len);
    }
    grow_free(&line);
    grow_free(&hint);
    grow_free(&drawn);
    return fits;
}

/* A signal has woken us up: 1 to go on waiting. */
static int wake_up(EditLine *edit)
{
    if (signals_stop() != 0) return 0;
    if (signals_take_resume()) {
        (void)el_set(edit, EL_PREP_TERM, 1);
        (void)el_set(edit, EL_REFRESH);
    }
    if (signals_take_resize()) {
        el_resize(edit);
        (void)el_set(edit, EL_REFRESH);
    }
    return 1;
}

/* Reads one byte: 1, 0 at the end, -1 for an error. */
static int read_terminal_byte(struct line_editor *editor, char *byte)
{
    for (;;) {
        const bool hinted = draw_hint(editor);
        const ssize_t got = signals_stop() != 0 ? -1 : read(STDIN_FILENO, byte, 1);
        const int error = signals_stop() != 0 ? EINTR : errno;
        if (hinted) write_terminal("\033[K", 3);
        if (got >= 0) return got > 0;
        if (error != EINTR || wake_up(editor->edit) == 0) return -1;
    }
}

static int read_terminal_character(EditLine *edit, wchar_t *wide)
{
    struct line_editor *editor = editor_of(edit);
    mbstate_t state;
    memset(&state, 0, sizeof state);
    for (;;) {
        char byte = '\0';
        const int got = read_terminal_byte(editor, &byte);
        if (got <= 0) return got;
        const size_t len = mbrtowc(wide, &byte, 1, &state);
        if (len == (size_t)-1) memset(&state, 0, sizeof state);
        if (len <= 1) return 1;
    }
}

static size_t candidate_columns(const struct completion *completion, struct grow *shown)
{
    size_t widest = 0;
    for (size_t i = 0; i < completion->count; i++) {
        size_t used = 0;
        const loam_slice candidate = grow_slice(&completion->candidate[i]);
        if (completion->verbatim)
            grow_add(&shown[i], candidate.data, candidate.len);
        else
            word_quote(&shown[i], candidate, false, true);
        (void)screen_fit(grow_slice(&shown[i]), SIZE_MAX, &used);
        if (used > widest) widest = used;
    }
    return widest;
}

/* Prints the candidates below the line, in columns. */
static void list_candidates(const struct completion *completion)
{
    struct grow shown[CANDIDATES_MAX] = {{0}};
    struct grow text = {0};
    const size_t columns = screen_columns(STDOUT_FILENO);
    const size_t width = candidate_columns(completion, shown) + 2;
    const size_t in_row = width < columns ? columns / width : 1;
    grow_add_text(&text, "\r\n");
    for (size_t i = 0; i < completion->count; i++) {
        size_t used = 0;
        const size_t len = screen_fit(grow_slice(&shown[i]), columns - 1, &used);
        grow_add(&text, shown[i].data, len);
        const bool last = (i + 1) % in_row == 0 || i + 1 == completion->count;
        for (; !last && used < width; used++)
            grow_add_byte(&text, ' ');
        if (last) grow_add_text(&text, "\r\n");
        grow_free(&shown[i]);
    }
    if (completion->more) grow_add_text(&text, "...\r\n");
    write_terminal(text.data, text.len);
    grow_free(&text);
}

/* Puts text in place of the last `replaced` bytes before the cursor. */
static void replace_word(EditLine *edit, const char *replaced, const char *text)
{
    const size_t old_count = mbstowcs(NULL, replaced, 0);
    const size_t new_count = mbstowcs(NULL, text, 0);
    if (old_count == (size_t)-1 || new_count == (size_t)-1) return;
    wchar_t *wide = grow_array(NULL, new_count + 1, sizeof *wide);
    (void)mbstowcs(wide, text, new_count + 1);
    el_deletestr(edit, (int)old_count);
    (void)el_winsertstr(edit, wide);
    free(wide);
}

static unsigned char complete_key_pressed(EditLine *edit, int key)
{
    struct line_editor *editor = editor_of(edit);
    struct completion *completion = grow_array(NULL, 1, sizeof *completion);
    struct grow line = {0};
    unsigned char answer = CC_NORM;
    (void)key;
    line_before_cursor(edit, &line);
    complete_line(editor->session, grow_slice(&line), completion);
    if (completion->insert.len > 0) {
        grow_add_byte(&line, '\0');
        grow_add_byte(&completion->insert, '\0');
        replace_word(edit, line.data + completion->at, completion->insert.data);
        answer = CC_REFRESH;
    } else if (completion->count > 1) {
        list_candidates(completion);
        answer = CC_REDISPLAY;
    } else {
        answer = CC_REFRESH_BEEP;
    }
    completion_free(completion);
    free(completion);
    grow_free(&line);
    return answer;
}

static void remember_line(void *ctx, const char *text)
{
    struct line_editor *editor = ctx;
    HistEvent event;
    (void)history(editor->history, &event, H_ENTER, text);
}

static bool set_up_history(struct line_editor *editor)
{
    HistEvent event;
    editor->history = history_init();
    if (editor->history == NULL) return false;
    (void)history(editor->history, &event, H_SETSIZE, HISTORY_LINES_MAX);
    (void)history(editor->history, &event, H_SETUNIQUE, 1);
    (void)el_set(editor->edit, EL_HIST, history, editor->history);
    history_file_open(&editor->file, remember_line, editor);
    return true;
}

struct line_editor *line_editor_open(const struct session *session)
{
    struct line_editor *editor = grow_array(NULL, 1, sizeof *editor);
    memset(editor, 0, sizeof *editor);
    editor->session = session;
    editor->hints = screen_takes_colour(STDOUT_FILENO);
    editor->edit = el_init("loam", stdin, stdout, stderr);
    if (editor->edit == NULL || !set_up_history(editor)) {
        line_editor_close(editor);
        return NULL;
    }
    EditLine *edit = editor->edit;
    (void)el_set(edit, EL_CLIENTDATA, editor);
    (void)el_set(edit, EL_SIGNAL, 0);
    (void)el_set(edit, EL_EDITOR, "emacs");
    (void)el_set(edit, EL_PROMPT, show_prompt);
    (void)el_set(edit, EL_GETCFN, read_terminal_character);
    /* The wide call keeps these strings; the other one copies them and never frees the copies. */
    (void)el_wset(edit, EL_ADDFN, L"loam-complete", L"completes the word", complete_key_pressed);
    (void)el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_source(edit, NULL);
    (void)el_set(edit, EL_BIND, "^I", "loam-complete", NULL);
    return editor;
}

void line_editor_close(struct line_editor *editor)
{
    if (editor == NULL) return;
    if (editor->edit != NULL) el_end(editor->edit);
    if (editor->history != NULL) history_end(editor->history);
    history_file_close(&editor->file);
    grow_free(&editor->prompt);
    free(editor);
}

enum edited line_editor_read(struct line_editor *editor, loam_slice *line)
{
    int len = 0;
    compose_prompt(editor);
    (void)signals_take_resume();
    if (signals_take_resize()) el_resize(editor->edit);
    const char *text = el_gets(editor->edit, &len);
    if (text == NULL || len <= 0) {
        const bool interrupted = signals_stop() == CODE_INTERRUPTED;
        (void)fputs(interrupted ? "^C\n" : "\n", stdout);
        (void)fflush(stdout);
        return interrupted ? EDITED_NOTHING : EDITED_END;
    }
    size_t kept = (size_t)len;
    while (kept > 0 && (text[kept - 1] == '\n' || text[kept - 1] == '\r'))
        kept--;
    *line = loam_bytes(text, kept);
    if (kept > 0 && strspn(text, " \t") < kept) {
        struct grow entered = {0};
        grow_add(&entered, text, kept);
        grow_add_byte(&entered, '\0');
        if (text[0] != ' ') remember_line(editor, entered.data);
        history_file_add(&editor->file, *line);
        grow_free(&entered);
    }
    return EDITED_LINE;
}
