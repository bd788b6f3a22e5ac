/*
 * edit.h - one atomic change of what the store consists of, as bytes.
 *
 * Role: an edit is a list of changes that take effect together. The manifest is a sequence of
 *   edits; a fresh manifest begins with edits that rebuild the present state; a change of
 *   collections is the same bytes in the log.
 *
 *   edit:    change*     each: tag u8 | fields as varints, byte strings as length varint + bytes
 *
 * Invariants: (1) decoding trusts nothing; what an encoder never makes is LOAM_CORRUPT, an unknown
 *   tag is LOAM_TOONEW. (2) encode(decode(bytes)) == bytes.
 * In the picture: tree layer; made by db/, applied by catalog.h, carried by manifest.h.
 */
#ifndef LOAM_TREE_EDIT_H
#define LOAM_TREE_EDIT_H

#include "base/findings.h"
#include "record/range_set.h"
#include "sstable/table_writer.h"

enum change_tag {
    CHANGE_COLL_CREATE = 1,  /* coll, name, compression */
    CHANGE_COLL_RENAME = 2,  /* coll, name */
    CHANGE_COLL_DROP = 3,    /* coll: its tables go too */
    CHANGE_TABLE_ADD = 4,    /* coll, level, run, meta, from, to */
    CHANGE_TABLE_REMOVE = 5, /* coll, level, run, uid */
    CHANGE_TABLE_CLIP = 6,   /* coll, level, run, uid, from, to: new bounds */
    CHANGE_FLUSHED = 7,      /* coll, seq: its entries up to seq are in tables */
    CHANGE_LOG_SEGMENT =
        8, /* object, position .. position_end: an earlier opener's, still needed, durable */
    CHANGE_LOG_START =
        9, /* position, running: where this opener's log begins; object.epoch is its epoch */
    CHANGE_LOG_FLOOR =
        10, /* position, object: the log is not needed below; object is the first segment that is */
    CHANGE_LOG_ATTEST = 11, /* position: the log was durable below */
    CHANGE_COUNTERS =
        12, /* next_coll, next_run, seq (all collections' changes up to it are in the manifest), time_ms */
    CHANGE_SNAPSHOT_END = 13, /* the state that a fresh manifest begins with is complete */
    CHANGE_TABLE_ADD_SWEPT =
        14,             /* on disk alone: a CHANGE_TABLE_ADD whose meta.swept_seq is not 0 */
    CHANGE_RANGES = 15, /* coll, ranges: its deletions of ranges are now these */
    CHANGE_COLL_OPTIONS =
        16, /* coll, compression, ttl_ms, merge_operator: its options are now these */
    CHANGE_TABLE_ADD_EXPIRING =
        17, /* on disk alone: a CHANGE_TABLE_ADD some entries of which expire */
    CHANGE_COLL_CLONE =
        18, /* coll, name, source, seq: created with the source's options, tables and deletions of
                                  ranges; seq is up to where the source is flushed */
    CHANGE_TABLE_ADD_SHIFTED =
        19, /* on disk alone: a CHANGE_TABLE_ADD whose meta.seq_shift is not 0 */
    CHANGE_INGEST =
        20, /* coll, seq: the tables that follow are added, all of this number; what is older is in tables */
    CHANGE_CALLER_INDEX =
        21 /* caller_index, seq: of the newest commit that has one and may be gone from the log */
};

struct change {
    enum change_tag tag;
    uint32_t coll, source;
    uint32_t level;
    uint64_t run;
    uint64_t uid;
    uint64_t seq;
    uint64_t position, position_end, running;
    uint64_t time_ms, caller_index;
    uint32_t next_coll;
    uint64_t next_run;
    struct object_id object;
    loam_slice name;
    uint8_t compression;
    uint64_t ttl_ms;
    loam_slice merge_operator; /* its name; empty: none */
    struct table_meta meta;    /* slices borrowed when decoded */
    loam_slice from, to;       /* of a table's clip: [from, to); to empty = no bound */
    loam_slice ranges;         /* range_set_encode() */
};

enum { COLL_NAME_BYTES_MAX = 255, OPERATOR_NAME_BYTES_MAX = 63 };

struct coll_options {
    loam_compression compression;
    uint64_t ttl_ms;
    char *merge_operator; /* its name; NULL: none; once there it stays */
};

/* Whether a name holds nothing but UTF-8 without control characters and '/', as loam_create() asks; *at is
   how much of it does. */
bool coll_name_holds(loam_slice name, size_t *at);
/* Whether it is the name of a merge operator: 1 to 63 bytes of a-z, 0-9 and _. */
bool operator_name_holds(loam_slice name);
/* What a creation, or a change of options, says they are. *into, which owns its name, is changed or, without memory, not. */
LOAM_MUST loam_status coll_options_take(struct coll_options *into, const struct change *change);
void change_set_options(struct change *change,
                        const loam_coll_options *options); /* the other way; borrows its name */
loam_coll_options coll_options_public(const struct coll_options *options); /* borrows its name */

struct edit { /* a growing encoder; zero is empty */
    loam_buf bytes;
};

void edit_deinit(struct edit *edit);
LOAM_MUST loam_status edit_add(struct edit *edit, const struct change *change);

/* Convenience for the commonest changes. */
LOAM_MUST loam_status edit_add_table(struct edit *edit, uint32_t coll, uint32_t level, uint64_t run,
                                     const struct table_meta *meta);
LOAM_MUST loam_status edit_remove_table(struct edit *edit, uint32_t coll, uint32_t level,
                                        uint64_t run, uint64_t uid);
LOAM_MUST loam_status edit_set_ranges(struct edit *edit, uint32_t coll,
                                      const struct range_set *set); /* NULL: none */
/* Makes a collection ("default" is there) with these options; and makes these its options. */
LOAM_MUST loam_status edit_create_coll(struct edit *edit, uint32_t coll, loam_slice name,
                                       const loam_coll_options *options);
LOAM_MUST loam_status edit_clone_coll(struct edit *edit, uint32_t coll, loam_slice name,
                                      uint32_t source, uint64_t flushed_seq);
LOAM_MUST loam_status edit_set_options(struct edit *edit, uint32_t coll,
                                       const loam_coll_options *options);
LOAM_MUST loam_status edit_set_flushed(struct edit *edit, uint32_t coll, uint64_t seq);

struct edit_reader {
    const uint8_t *at, *end;
};
static inline struct edit_reader edit_reader_over(loam_slice bytes)
{
    const uint8_t *from = bytes.data;
    return (struct edit_reader){from, from == NULL ? NULL : from + bytes.len};
}
/* LOAM_OK, LOAM_NOTFOUND at the end, LOAM_CORRUPT or LOAM_TOONEW. Slices point into the bytes. */
LOAM_MUST loam_status edit_next(struct edit_reader *reader, struct change *change);

/* Tells a change with all its fields, as they stand on disk; a deletion of a range as a finding below it. Of keys data_bytes_max. */
void change_tell(struct findings *findings, uint32_t depth, const struct change *change,
                 size_t data_bytes_max);

#endif
