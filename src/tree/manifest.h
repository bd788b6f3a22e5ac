/*
 * manifest.h - remembers what the store consists of, across restarts: a log of edits.
 *
 * Role: replays the edits at open; appends one durable edit per flush, compaction or change of
 *   collections; begins a new file when the old one has grown to twice a fresh snapshot (and at
 *   least 128 KiB), or when an append failed.
 * Invariants: (1) the root names a manifest whose snapshot part was durable before the root was
 *   swapped, and says where it ended. (2) An edit is applied in memory only after it is durable;
 *   one whose durability is unknown is left out of a new file, or nothing is written any more. (3)
 *   A manifest file is one segment of the wal's framing; it is never appended to after the open
 *   that created it. (4) The old manifest is deleted after the root names the new one. (5) Room
 *   for one more manifest is kept in reserve, so that a full disk can still be cleaned up: the
 *   next file is allocated before it is needed, from the first commit on.
 * Threads: the caller's manifest lock.
 * In the picture: tree layer, on wal/segment.h and catalog.h; used by db/recover, flush, compact,
 *   coll.
 */
#ifndef LOAM_TREE_MANIFEST_H
#define LOAM_TREE_MANIFEST_H

#include "tree/catalog.h"
#include "tree/root.h"

struct manifest;

/* Replays the manifest that root names into an empty catalog; nothing when it names none (number
   0: the store's creation was cut short). LOAM_CORRUPT names file and offset: a missing file,
   damage below what the root or a later record attests, an unfinished snapshot. A torn last edit
   is dropped, unless root is sealed. *end (or NULL): where the next edit would stand. */
LOAM_MUST loam_status manifest_load(struct store *store, const struct root *root,
                                    struct catalog *catalog, uint64_t *end);
/* Of a manifest that was loaded up to end while its owner goes on: does anything stand there by now? It may be half an edit. LOAM_NOTFOUND: the
   manifest is gone. */
LOAM_MUST loam_status manifest_look(struct store *store, struct object_id id, uint64_t end,
                                    bool *goes_on);

/* After a load: calls fault() with a sentence for what the load can do without, a copy of the header, and zeros behind
   the end that a seal states. */
LOAM_MUST loam_status manifest_verify(struct store *store, const struct root *root,
                                      void (*fault)(void *ctx, const char *text), void *ctx);

/* Writes a fresh manifest with the catalog's state under (root->epoch, number 1, 2, ...), swaps
   root (with its new manifest, ends, as given otherwise) and becomes ready for appends. A root
   that named no manifest is swapped in first, as it is, because files without a root are damage.
   *root is updated, and kept until the manifest is closed: it is updated again whenever a new file
   is begun. */
LOAM_MUST loam_status manifest_create(struct store *store, struct root *root,
                                      struct catalog *catalog, struct manifest **out);

/* Makes the edit durable, then applies it. LOAM_FULL and LOAM_NOMEM: nothing happened, may be
   tried again. Any other failure: the caller fences. */
LOAM_MUST loam_status manifest_commit(struct manifest *manifest, const struct edit *edit);

/* The same in steps, for who writes elsewhere in between what may not be taken back: room for an edit of at most edit_bytes
   (LOAM_FULL and LOAM_NOMEM as above), catalog_prepare(), and the append, which only the device can fail. append ends the
   stage in any case. */
LOAM_MUST loam_status manifest_reserve(struct manifest *manifest, uint64_t edit_bytes);
LOAM_MUST loam_status manifest_append(struct manifest *manifest, const struct edit *edit,
                                      struct catalog_stage *stage);

/* The seal: swaps the root with sealed = true and the log's end. The manifest is closed and freed
   in any case. */
LOAM_MUST loam_status manifest_seal(struct manifest *manifest, uint64_t log_end,
                                    uint64_t log_running);
void manifest_close(struct manifest *manifest); /* without a seal; accepts NULL */
uint64_t manifest_written_bytes(const struct manifest *manifest);

#endif
