/* file_format.c - see file_format.h. */
#include "shell/file_format.h"

#include <inttypes.h>
#include <time.h>

#include "shell/command.h"
#include "shell/exit_code.h"
#include "shell/message.h"

int file_format_choose(const struct args *args, enum format *format)
{
    const char *path = args->arg[0].data;
    const char *name = args->command->name;
    *format = args->format != NULL ? format_named(args->format) : format_of_path(path);
    if (args_have(args, OPTION_ALL)) {
        if (*format == FORMAT_UNKNOWN) *format = FORMAT_JSONL;
        if (*format == FORMAT_JSONL) return CODE_DONE;
        complain("%s: --all is jsonl only; name the file .jsonl or give --format jsonl", name);
        return CODE_USAGE;
    }
    if (*format != FORMAT_UNKNOWN) return CODE_DONE;
    complain("%s: %s has no ending that names a format; give --format jsonl, csv or tsv", name,
             shown_text(path).text);
    return CODE_USAGE;
}

double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

uint64_t wall_ms_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void tally_print(const struct tally *tally, const char *how, struct sink *sink)
{
    sink_printf(sink, "%" PRIu64 " %s, %" PRIu64 " bytes, %.1f s%s\n", tally->items,
                tally->items == 1 ? "entry" : "entries", tally->bytes,
                seconds_now() - tally->started, how);
}
