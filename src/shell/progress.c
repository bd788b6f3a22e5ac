/* progress.c - how far a long command is; see progress.h. */
#include "shell/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "shell/file_format.h"

struct progress progress_begin(struct session *session)
{
    return (struct progress){
        .session = session, .spoke = seconds_now(), .on_terminal = isatty(STDERR_FILENO) != 0};
}

void progress_end(struct progress *progress)
{
    if (progress->line_open) (void)fputc('\n', stderr);
    progress->line_open = false;
}

bool progress_show(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    struct progress *progress = ctx;
    if (session_stop(progress->session) != 0) return false;
    if (progress->session->quiet || seconds_now() - progress->spoke < 1) return true;
    char done[TEXT_SIZE_BYTES_MAX], total[TEXT_SIZE_BYTES_MAX];
    progress->spoke = seconds_now();
    (void)fprintf(stderr, "%s%s of %s%s", progress->on_terminal ? "\r" : "",
                  text_format_size(done, done_bytes), text_format_size(total, total_bytes),
                  progress->on_terminal ? "  " : "\n");
    progress->line_open = progress->on_terminal;
    return true;
}
