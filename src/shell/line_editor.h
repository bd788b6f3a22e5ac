/*
 * line_editor.h - the line that is typed at a terminal.
 *
 * Role: libedit with Tab completion, history and the grey hint.
 * Invariants: the terminal is in its ordinary mode whenever a command runs. The
 *   hint stands only behind the end of the line and is gone before libedit draws
 *   again: it knows nothing of it.
 * In the picture: shell layer; on complete and history_file.
 */
#ifndef LOAM_SHELL_LINE_EDITOR_H
#define LOAM_SHELL_LINE_EDITOR_H

#include "shell/session.h"

struct line_editor;

enum edited { EDITED_LINE, EDITED_NOTHING, EDITED_END };

/* NULL when the terminal cannot be used. Keeps session. */
struct line_editor *line_editor_open(const struct session *session);
void line_editor_close(struct line_editor *editor);

/* *line is valid until the next call. EDITED_NOTHING: Ctrl-C; EDITED_END: Ctrl-D, or a signal. */
enum edited line_editor_read(struct line_editor *editor, loam_slice *line);

#endif
