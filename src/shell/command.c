/* command.c - see command.h. */
#include "shell/command.h"

#include <strings.h>

#include "shell/exit_code.h"
#include "shell/message.h"

const struct option_info option_infos[OPTIONS_COUNT] = {
    [OPTION_PREFIX] = {"--prefix", VALUE_BYTES, "P", {NULL}, "only keys that start with P"},
    [OPTION_LIMIT] = {"--limit", VALUE_NUMBER, "N", {NULL}, "at most N entries"},
    [OPTION_REVERSE] = {"--reverse", VALUE_NONE, NULL, {NULL}, "from the last to the first"},
    [OPTION_KEYS] = {"--keys", VALUE_NONE, NULL, {NULL}, "keys without their values"},
    [OPTION_FORMAT] = {"--format",
                       VALUE_CHOICE,
                       "FORMAT",
                       {"jsonl", "csv", "tsv", NULL},
                       "when the file's ending does not tell"},
    [OPTION_FROM_LINE] = {"--from-line",
                          VALUE_NUMBER,
                          "N",
                          {NULL},
                          "begin at line N of the file, to go on after an interruption"},
    [OPTION_ALL] =
        {"--all", VALUE_NONE, NULL, {NULL}, "every collection; jsonl, each line names its own"},
    [OPTION_MODE] = {"--mode",
                     VALUE_CHOICE,
                     "MODE",
                     {"escaped", "raw", NULL},
                     "raw writes the bytes alone, without a newline"},
    [OPTION_JSON] = {"--json", VALUE_NONE, NULL, {NULL}, "as JSON"},
    [OPTION_YES] = {"--yes", VALUE_NONE, NULL, {NULL}, "without asking"},
    [OPTION_DRY_RUN] = {"--dry-run", VALUE_NONE, NULL, {NULL}, "say the same and write nothing"},
    [OPTION_MAN] = {"--man", VALUE_NONE, NULL, {NULL}, "the manual page, for man(1)"},
    [OPTION_ENTRIES] =
        {"--entries", VALUE_NUMBER, "N", {NULL}, "so many, of 16 + 100 bytes; 1,000,000"},
    [OPTION_WORKLOADS] = {"--workloads",
                          VALUE_TEXT,
                          "A,B,..",
                          {NULL},
                          "only these; a name may end with *, as in ycsb-*"},
    [OPTION_COMPRESSION] = {"--compression",
                            VALUE_CHOICE,
                            "HOW",
                            {"lz4", "zstd", "none", NULL},
                            "of what is written from then on; lz4"},
    [OPTION_TTL] = {"--ttl",
                    VALUE_DURATION,
                    "TIME",
                    {NULL},
                    "what is put lives so long: 500ms, 90s, 5m, 1h, 2d; 0 is for ever"},
    [OPTION_MERGE] =
        {"--merge", VALUE_TEXT, "NAME", {NULL}, "add_i64, max_i64, append; once set it stays"},
    [OPTION_ALL_ENTRIES] =
        {"--entries", VALUE_NONE, NULL, {NULL}, "with entries; of a store, all of its files"},
    [OPTION_HTML] =
        {"--html", VALUE_TEXT, "FILE", {NULL}, "a page for a browser instead, in one file"},
    [OPTION_SINCE] =
        {"--since", VALUE_NUMBER, "SEQ", {NULL}, "what came after this sequence number"},
    [OPTION_FOLLOW] = {"--follow", VALUE_NONE, NULL, {NULL}, "wait for more, until Ctrl-C"},
    [OPTION_WATCH] = {"--watch", VALUE_NONE, NULL, {NULL}, "again and again, until Ctrl-C"},
    [OPTION_INTERVAL] =
        {"--interval", VALUE_NUMBER, "MS", {NULL}, "of --watch, in milliseconds; 1000"},
    [OPTION_ARCHIVE] =
        {"--archive", VALUE_TEXT, "DIR", {NULL}, "go on with what the store has archived there"},
    [OPTION_TO_SEQ] = {"--to-seq", VALUE_NUMBER, "N", {NULL}, "up to sequence number N"},
    [OPTION_TO_TIME] = {"--to-time",
                        VALUE_TEXT,
                        "TIME",
                        {NULL},
                        "up to then: 2026-11-26T12:00:00Z, without Z local time"},
};

#define RANGE_OPTION OPTION_BIT(OPTION_PREFIX)
#define COLL_OPTIONS                                                                               \
    (OPTION_BIT(OPTION_COMPRESSION) | OPTION_BIT(OPTION_TTL) | OPTION_BIT(OPTION_MERGE))
#define FILE_OPTIONS (OPTION_BIT(OPTION_FORMAT) | OPTION_BIT(OPTION_ALL))

const struct command commands[] = {
    {"put",
     NULL,
     "KEY VALUE",
     {ARG_KEY, ARG_VALUE},
     2,
     OPTION_BIT(OPTION_TTL),
     ACCESS_CREATE,
     true,
     cmd_put,
     "stores VALUE under KEY",
     "A value that was there is replaced. Without --ttl it lives as long as the collection's "
     "options say."},
    {"get",
     NULL,
     "KEY",
     {ARG_KEY},
     1,
     OPTION_BIT(OPTION_MODE) | OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_get,
     "prints the value of KEY",
     "The value is escaped, so that it can be typed back, and ends with a newline. When KEY is not "
     "there, standard output stays empty and the exit status is 1."},
    {"delete",
     "del",
     "KEY",
     {ARG_KEY},
     1,
     0,
     ACCESS_EXISTING,
     true,
     cmd_delete,
     "removes KEY",
     "Deleting what is not there is no error."},
    {"delete-range",
     NULL,
     "[FROM [TO]]",
     {ARG_KEY, ARG_KEY},
     0,
     RANGE_OPTION,
     ACCESS_EXISTING,
     true,
     cmd_delete_range,
     "removes all entries of a range, however many, at the cost of one",
     "The range is that of scan, and FROM or --prefix is there: truncate removes everything."},
    {"truncate",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_YES),
     ACCESS_EXISTING,
     true,
     cmd_truncate,
     "removes all entries of the current collection",
     "Asks on a terminal; elsewhere it wants --yes."},
    {"exists",
     NULL,
     "KEY",
     {ARG_KEY},
     1,
     0,
     ACCESS_READ,
     true,
     cmd_exists,
     "says whether KEY is there",
     "Prints true or false; the exit status is 0 or 1."},
    {"scan",
     NULL,
     "[FROM [TO]]",
     {ARG_KEY, ARG_KEY},
     0,
     RANGE_OPTION | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_REVERSE) |
         OPTION_BIT(OPTION_KEYS) | OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_scan,
     "lists entries in the order of their keys",
     "FROM is included and TO is not, also with --reverse; an empty TO is no bound. --prefix takes "
     "the place of FROM and TO. In a pipe, key and value are escaped and a tab stands between "
     "them."},
    {"count",
     NULL,
     "[FROM [TO]]",
     {ARG_KEY, ARG_KEY},
     0,
     RANGE_OPTION,
     ACCESS_READ,
     true,
     cmd_count,
     "counts entries, exactly",
     "The range is that of scan."},
    {"estimate",
     NULL,
     "[FROM [TO]]",
     {ARG_KEY, ARG_KEY},
     0,
     RANGE_OPTION | OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_estimate,
     "says about how much a range holds, without reading it",
     "Entries, and bytes of keys and values, before merging versions. The range is that of scan."},
    {"ttl",
     NULL,
     "KEY",
     {ARG_KEY},
     1,
     OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_ttl,
     "says how long KEY will live",
     "Prints a time, or never. When KEY is not there, the exit status is 1."},
    {"expire",
     NULL,
     "KEY TIME",
     {ARG_KEY, ARG_VALUE},
     2,
     0,
     ACCESS_EXISTING,
     true,
     cmd_expire,
     "lets KEY live for TIME from now on",
     "TIME is 500ms, 90s, 5m, 1h, 2d; 0 is for ever. The value stays. When KEY is not there, the "
     "exit "
     "status is 1."},
    {"persist",
     NULL,
     "KEY",
     {ARG_KEY},
     1,
     0,
     ACCESS_EXISTING,
     true,
     cmd_persist,
     "lets KEY live for ever",
     "Also where the collection's options say otherwise. When KEY is not there, the exit status is "
     "1."},
    {"merge",
     NULL,
     "KEY OPERAND",
     {ARG_KEY, ARG_VALUE},
     2,
     0,
     ACCESS_CREATE,
     true,
     cmd_merge,
     "joins OPERAND with the value under KEY",
     "How, the collection's merge operator says (`create --merge`, `alter --merge`): append, or "
     "for "
     "8 bytes, little-endian, add_i64 or max_i64. Without a value, OPERAND is the value."},
    {"incr",
     NULL,
     "KEY [N]",
     {ARG_KEY, ARG_VALUE},
     1,
     0,
     ACCESS_CREATE,
     true,
     cmd_incr,
     "adds N, or 1, to a counter and shows what it is then",
     "The collection's merge operator is add_i64 (`alter NAME --merge add_i64`); a value is 8 "
     "bytes, little-endian, and one "
     "of another length counts as none. `incr KEY 0` shows the number."},
    {"cas",
     NULL,
     "KEY [OLD] NEW",
     {ARG_KEY, ARG_VALUE, ARG_VALUE},
     2,
     0,
     ACCESS_CREATE,
     true,
     cmd_cas,
     "stores NEW under KEY if its value is OLD",
     "Compares and sets in one step, whatever others do. Without OLD: only if KEY is not there. "
     "When it "
     "is not so, nothing changes and the exit status is 5."},
    {"begin",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     false,
     cmd_begin,
     "begins a transaction",
     "Until commit or rollback, put, get, delete, exists, scan and count work in it: they see the "
     "store "
     "as it is now and what the transaction has written, and nobody else sees that. For the shell "
     "and for scripts."},
    {"savepoint",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     false,
     cmd_savepoint,
     "marks where the next rollback goes back to",
     NULL},
    {"rollback",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     false,
     cmd_rollback,
     "undoes what was written since the latest savepoint",
     "Without a savepoint it ends the transaction, and nothing of it is stored."},
    {"commit",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     false,
     cmd_commit,
     "stores what the transaction has written, all at once",
     "When something that it has read was written by others meanwhile, nothing is stored and the "
     "exit status "
     "is 5; begin it again. The shell is the only one that writes to its store, so there this does "
     "not happen."},
    {"create",
     NULL,
     "NAME",
     {ARG_NEW_NAME},
     1,
     COLL_OPTIONS,
     ACCESS_CREATE,
     false,
     cmd_create,
     "creates a collection",
     "When it is there already, the exit status is 5."},
    {"alter",
     NULL,
     "NAME",
     {ARG_NAME},
     1,
     COLL_OPTIONS,
     ACCESS_EXISTING,
     false,
     cmd_alter,
     "changes options of a collection",
     "What is not given stays as it is. `collections` shows what they are. What is there already "
     "stays as it was written."},
    {"clone",
     NULL,
     "FROM TO",
     {ARG_NAME, ARG_NEW_NAME},
     2,
     0,
     ACCESS_EXISTING,
     false,
     cmd_clone,
     "makes a collection TO of what FROM holds, at once",
     "They share what is there, and each writes its own from then on; options come along. When TO "
     "is there already, the "
     "exit status is 5."},
    {"use",
     NULL,
     "NAME",
     {ARG_NAME},
     1,
     0,
     ACCESS_READ,
     false,
     cmd_use,
     "makes NAME the current collection",
     "For a single command, -c NAME before DIR does the same."},
    {"close",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_READ,
     false,
     cmd_close,
     "goes back to the collection default",
     NULL},
    {"collections",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     false,
     cmd_collections,
     "lists the collections",
     "Entries and bytes are estimates: versions that were replaced may still count."},
    {"rename",
     NULL,
     "FROM TO",
     {ARG_NAME, ARG_NEW_NAME},
     2,
     0,
     ACCESS_EXISTING,
     false,
     cmd_rename,
     "renames a collection",
     NULL},
    {"drop",
     NULL,
     "NAME",
     {ARG_NAME},
     1,
     OPTION_BIT(OPTION_YES),
     ACCESS_EXISTING,
     false,
     cmd_drop,
     "removes a collection and all that is in it",
     "Asks on a terminal; elsewhere it wants --yes."},
    {"import",
     NULL,
     "FILE",
     {ARG_FILE},
     1,
     FILE_OPTIONS | OPTION_BIT(OPTION_FROM_LINE),
     ACCESS_CREATE,
     true,
     cmd_import,
     "stores the entries of a file",
     "The file's ending is its format: .jsonl has {\"key\":..,\"value\":..} a line, with key_b64 "
     "and value_b64 for what is no text, and expires_ms for what expires (0: never); .csv has the "
     "header "
     "key,value, or key_b64 and value_b64 for columns in base64; .tsv a key, a tab and a value, "
     "with \\t \\n \\r \\\\ \\0 \\xNN escaped, and without a tab a key alone. FILE - is standard "
     "input and wants --format. Of duplicates the last wins. A file into an empty collection is "
     "loaded in bulk: faster, and all at the end or, when it is stopped, nothing (a line that is "
     "none ends it with what came before); with --all each "
     "empty collection is, by itself, so that a file of several is not one commit. Else, with "
     "--from-line, and where the store has an --archive, entries are stored in batches; `stored up "
     "to line N` on standard error counts "
     "only what is safe, and after a failure --from-line N+1 goes on."},
    {"export",
     NULL,
     "FILE",
     {ARG_FILE},
     1,
     FILE_OPTIONS | OPTION_BIT(OPTION_YES),
     ACCESS_READ,
     true,
     cmd_export,
     "writes all entries to a file",
     "The state is that of one moment. FILE appears complete or not at all; one that exists is "
     "replaced only with --yes. FILE - is standard output and wants --format. With --all a line "
     "without a key says the options of each collection; `import --all` gives them to one that is "
     "empty."},
    {"stats",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_stats,
     "what the store holds and what it costs",
     "Counts and what was written begin at 0 when the store is opened, so they are of use in the "
     "shell and in scripts. `here` is the current collection; the rest is the whole store."},
    {"levels",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_WATCH) | OPTION_BIT(OPTION_INTERVAL) | OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_levels,
     "draws the tree of the current collection",
     "A line for each memtable, and for each sorted run, newest first: its tables from their first "
     "to their last key. Keys are in order from left to right, and the scale is that of bytes. "
     "Behind it: tables, size, the share of deletions, and how many writes ago the newest entry "
     "came. Colours: red and yellow are tables of many deletions, the others say how far down they "
     "are."},
    {"explain",
     NULL,
     "get|scan|put [KEY [VALUE]]",
     {ARG_WORD, ARG_KEY, ARG_VALUE},
     1,
     RANGE_OPTION | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_JSON),
     ACCESS_READ,
     true,
     cmd_explain,
     "tells the way that a get, a scan or a put takes",
     "`explain get KEY` tells which memtables, runs and tables were asked, what their filters "
     "said, "
     "which pages came from the cache and which were read, how long each took, and the answer. "
     "`explain scan [FROM [TO]]` walks a range and tells what each memtable and run gave. `explain "
     "put KEY VALUE` does the put and tells what it took and what it will cost later. The guide's "
     "section \"Why is this read slow?\" reads one with you. When KEY is not there, the exit "
     "status "
     "is 1."},
    {"doctor",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_JSON),
     ACCESS_DIR,
     false,
     cmd_doctor,
     "examines the store, and says what is wrong and what to do",
     "Verifies every byte, and looks at the shape of the tree, at what keeps deleted entries, at "
     "limits of the system, the disk and the memory, and at settings. The exit status is 0 when "
     "all is well, 1 when there is advice and no damage, 3 when there is damage; of a store that "
     "does not open it says why, and the exit status is that of other commands. With --json each "
     "advice has a name that stays."},
    {"flush",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     true,
     cmd_flush,
     "writes what is in memory to a table",
     NULL},
    {"compact",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_EXISTING,
     true,
     cmd_compact,
     "merges the current collection into one sorted run",
     NULL},
    {"verify",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_DIR,
     false,
     cmd_verify,
     "reads every byte and checks it",
     "Prints ok, or each fault with its file and offset; then the exit status is 3. Files that "
     "nothing "
     "refers to are mentioned; they are no fault."},
    {"repair",
     NULL,
     "[TARGET]",
     {ARG_FILE},
     0,
     OPTION_BIT(OPTION_DRY_RUN),
     ACCESS_DIR,
     false,
     cmd_repair,
     "salvages a damaged store into a new one",
     "Writes what is intact to TARGET, which must be missing or empty; without one, to "
     "DIR.repaired. Nothing in DIR is changed. Prints each fault with its file and offset, then "
     "what is intact and what is lost; when something is, the exit status is 3. Entries of "
     "collections whose names are lost go to recovered-1, recovered-2 and so on: where several "
     "hold a key, the lower number is the newer."},
    {"inspect",
     NULL,
     "[PATH]",
     {ARG_FILE},
     0,
     OPTION_BIT(OPTION_ALL_ENTRIES) | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_JSON) |
         OPTION_BIT(OPTION_HTML) | OPTION_BIT(OPTION_YES),
     ACCESS_DIR,
     false,
     cmd_inspect,
     "shows what stands in the files of a store, damaged or not",
     "Without PATH: the files of DIR and what they are for, collections, levels and tables, the "
     "log. PATH is a file in DIR, or anywhere: a root, a manifest with its history of edits, a log "
     "segment with its records, or tables with their pages, of which --limit shows the first N. "
     "What is damaged is said, and reading goes on behind it; then the exit status is 3. Nothing "
     "is locked or changed: beside a process that writes, what is half written may look damaged. "
     "--html draws the tree along its keys, with its history to scrub through; --yes replaces "
     "FILE."},
    {"checkpoint",
     NULL,
     "TARGET",
     {ARG_FILE},
     1,
     0,
     ACCESS_READ,
     false,
     cmd_checkpoint,
     "makes a second store of this moment, at once",
     "TARGET, which must be missing or empty, is a store that holds what is there now. Tables are "
     "shared with it as hard links where the file system can, so it takes hardly any time or room; "
     "from then on each goes its own way."},
    {"backup",
     NULL,
     "BACKUPS",
     {ARG_FILE},
     1,
     0,
     ACCESS_READ,
     false,
     cmd_backup,
     "adds a copy of the store to a directory of backups",
     "Makes the next of BACKUPS/000001, 000002, and so on, reads it back, and prints its name. "
     "Each is "
     "a whole store that can be opened, verified, restored or deleted by itself; tables that the "
     "one "
     "before it has already are shared with that and not copied again."},
    {"restore",
     NULL,
     "BACKUP [N]",
     {ARG_FILE, ARG_NEW_NAME},
     1,
     OPTION_BIT(OPTION_ARCHIVE) | OPTION_BIT(OPTION_TO_SEQ) | OPTION_BIT(OPTION_TO_TIME),
     ACCESS_DIR,
     false,
     cmd_restore,
     "makes a store of a backup, or of a moment after it",
     "DIR, which must be missing or empty, becomes a copy of BACKUP, which is read back; of a "
     "directory of backups it is number N, or the latest one. BACKUP may be any closed store. With "
     "--archive, what the store has archived since follows, all of it or up to a moment, the "
     "earlier one of --to-seq and --to-time if both are there, which is "
     "printed as it was reached; the new store is another one, and takes another archive."},
    {"tail",
     NULL,
     "",
     {ARG_NONE},
     0,
     OPTION_BIT(OPTION_SINCE) | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_FOLLOW) |
         OPTION_BIT(OPTION_JSON),
     ACCESS_EXISTING,
     false,
     cmd_tail,
     "what was written lately, in its order",
     "One line for each entry and each change of collections that the log still holds: sequence "
     "number, what was done, the collection, key and value. Without --since it begins with the "
     "oldest. The store is opened for writing, so what another process has open cannot be "
     "followed; within a session or script, what that writes itself can."},
    {"bench",
     NULL,
     "[DIR]",
     {ARG_FILE},
     0,
     OPTION_BIT(OPTION_ENTRIES) | OPTION_BIT(OPTION_WORKLOADS) | OPTION_BIT(OPTION_JSON),
     ACCESS_NONE,
     false,
     cmd_bench,
     "measures how fast loam is here",
     "Begins with `loam bench DIR`. DIR must be missing or empty, on the disk that is to be "
     "measured; "
     "it is left as it was. Runs each workload in a process of its own, checks every answer, and "
     "prints operations a second, microseconds that an operation took, and what it cost. Commits "
     "survive kill -9; in the workloads called sync they survive a loss of power. --memory is the "
     "memory of the store, 576 MiB unless given."},
    {"help",
     "?",
     "[COMMAND]",
     {ARG_COMMAND},
     0,
     OPTION_BIT(OPTION_MAN),
     ACCESS_NONE,
     false,
     cmd_help,
     "this list, or all about a command",
     NULL},
    {"version",
     NULL,
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_NONE,
     false,
     cmd_version,
     "prints the version",
     NULL},
    {"exit",
     "quit",
     "",
     {ARG_NONE},
     0,
     0,
     ACCESS_NONE,
     false,
     cmd_exit,
     "leaves the shell",
     "So does Ctrl-D."},
};
const size_t commands_count = sizeof commands / sizeof *commands;

size_t command_args_max(const struct command *command)
{
    size_t count = 0;
    while (count < ARGS_MAX && command->args[count] != ARG_NONE)
        count++;
    return count;
}

static bool is_name(loam_slice typed, const char *name)
{
    return name != NULL && typed.len == strlen(name) &&
           strncasecmp(typed.data, name, typed.len) == 0;
}

const struct command *command_find(loam_slice name)
{
    for (size_t i = 0; i < commands_count; i++) {
        if (is_name(name, commands[i].name) || is_name(name, commands[i].alias))
            return &commands[i];
    }
    return NULL;
}

enum { NEAR_NAME_BYTES_MAX = 24 };

static size_t smallest_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char to_lower(char letter)
{
    if (letter < 'A' || letter > 'Z') return letter;
    return (char)(letter - 'A' + 'a');
}

/* Insertions, deletions, replacements and swaps of neighbours between the two. */
static size_t edit_distance(loam_slice typed, const char *name)
{
    size_t row[NEAR_NAME_BYTES_MAX + 1][NEAR_NAME_BYTES_MAX + 1] = {{0}};
    const char *a = typed.data;
    const size_t rows = typed.len, columns = strlen(name);
    if (rows > NEAR_NAME_BYTES_MAX || columns > NEAR_NAME_BYTES_MAX) return SIZE_MAX;
    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            row[i][j] = i + j;
            if (i == 0 || j == 0) continue;
            const bool same = to_lower(a[i - 1]) == name[j - 1];
            row[i][j] = row[i - 1][j - 1] + !same;
            row[i][j] = smallest_of(row[i][j], row[i - 1][j] + 1);
            row[i][j] = smallest_of(row[i][j], row[i][j - 1] + 1);
            if (i > 1 && j > 1 && to_lower(a[i - 1]) == name[j - 2] &&
                to_lower(a[i - 2]) == name[j - 1])
                row[i][j] = smallest_of(row[i][j], row[i - 2][j - 2] + 1);
        }
    }
    return row[rows][columns];
}

/* How far off a name may be to be what was meant. */
static bool is_near(size_t distance, size_t len)
{
    return distance <= 2 && distance < len;
}

const struct command *command_nearest(loam_slice name)
{
    const struct command *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < commands_count; i++) {
        size_t distance = edit_distance(name, commands[i].name);
        /* What was left unfinished is near too. */
        if (name.len >= 2 && strncasecmp(commands[i].name, name.data, name.len) == 0) distance = 1;
        if (commands[i].alias != NULL)
            distance = smallest_of(distance, edit_distance(name, commands[i].alias));
        if (distance >= best) continue;
        best = distance;
        nearest = &commands[i];
    }
    return is_near(best, name.len) ? nearest : NULL;
}

enum option_id option_find(loam_slice name, uint32_t options)
{
    enum option_id found = OPTIONS_COUNT;
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        if (name.len != strlen(option_infos[id].name) ||
            memcmp(name.data, option_infos[id].name, name.len) != 0)
            continue;
        if ((options & OPTION_BIT(id)) != 0) return id;
        found = id;
    }
    return found;
}

enum option_id option_nearest(loam_slice name, uint32_t options)
{
    enum option_id nearest = OPTIONS_COUNT;
    size_t best = SIZE_MAX;
    for (enum option_id id = 0; id < OPTIONS_COUNT; id++) {
        if ((options & OPTION_BIT(id)) == 0) continue;
        const size_t distance = edit_distance(name, option_infos[id].name);
        if (distance >= best) continue;
        best = distance;
        nearest = id;
    }
    return name.len > 4 && is_near(best, name.len) ? nearest : OPTIONS_COUNT;
}

int complain_unknown_command(loam_slice name)
{
    const struct command *nearest = command_nearest(name);
    if (nearest != NULL)
        complain("%s: no such command; did you mean `%s`?", shown_bytes(name).text, nearest->name);
    else if (name.len > 1 && *(const char *)name.data == '-')
        complain("%s: no such command; options stand before DIR or after the command",
                 shown_bytes(name).text);
    else
        complain("%s: no such command; `help` lists them all", shown_bytes(name).text);
    return CODE_USAGE;
}
