/*
 * table_index.c - the two-level head index; see table_index.h.
 */
#include "sstable/table_index.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "sstable/table_page.h"

#include "base/poison.h"

static uint64_t group_count(uint64_t page_count)
{
    return (page_count + INDEX_GROUP - 1) / INDEX_GROUP;
}

static loam_slice separator_rest(const struct table_index *index, uint64_t page)
{
    const uint64_t from = page == 0 ? 0 : get_u64(index->separator_ends + 8 * (page - 1));
    const uint64_t to = get_u64(index->separator_ends + 8 * page);
    return loam_bytes(index->separators + from, (size_t)(to - from));
}

/* ---- reading ---- */

/* As compare_prefix() of a page: 0 when the key starts with the prefix. */
static inline int compare_index_prefix(const struct table_index *index, loam_slice key)
{
    if (index->prefix_bytes == 0) return 0;
    const size_t len = key.len < index->prefix_bytes ? key.len : index->prefix_bytes;
    const int order = len > 0 ? memcmp(key.data, index->prefix, len) : 0;
    if (order != 0) return order;
    return key.len < index->prefix_bytes ? -1 : 0;
}

/* What follows the prefix in a key that starts with it. */
static inline loam_slice behind_prefix(const struct table_index *index, loam_slice key)
{
    const size_t skip = index->prefix_bytes;
    if (key.len <= skip) return loam_bytes("", 0);
    return loam_bytes((const uint8_t *)key.data + skip, key.len - skip);
}

/* Among pages from `low` on whose heads may equal that of rest, the first with separator >= rest. */
static uint64_t resolve_equal_heads(const struct table_index *index, uint64_t low, uint64_t head,
                                    loam_slice rest)
{
    uint64_t high = index->page_count, step = 1;
    /* Most runs of equal heads are short: gallop for their end. */
    while (low + step < high && get_u64(index->heads + 8 * (low + step)) == head)
        step *= 2;
    if (low + step < high) high = low + step;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const bool before = get_u64(index->heads + 8 * middle) == head &&
                            bytes_compare(separator_rest(index, middle), rest) < 0;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t index_find(const struct table_index *index, loam_slice key)
{
    const int order = compare_index_prefix(index, key);
    if (order != 0) return order < 0 ? 0 : index->page_count;
    const uint64_t head = bytes_head(key, index->prefix_bytes);
    const uint64_t groups = group_count(index->page_count);
    const uint64_t group = heads_lower_bound(index->tops, groups, head);
    if (group == groups) return index->page_count;
    const uint64_t from = group * INDEX_GROUP, left = index->page_count - from;
    const uint8_t *heads = index->heads + 8 * from;
    for (unsigned line = 0; line < 8; line++)
        __builtin_prefetch(heads + (size_t)64 * line);
    const uint64_t page =
        from + heads_lower_bound(heads, left < INDEX_GROUP ? left : INDEX_GROUP, head);
    if (get_u64(index->heads + 8 * page) != head) return page;
    return resolve_equal_heads(index, page, head, behind_prefix(index, key));
}

int index_separator_compare(const struct table_index *index, uint64_t page, loam_slice key)
{
    const int order = compare_index_prefix(index, key);
    if (order != 0) return -order;
    return bytes_compare(separator_rest(index, page), behind_prefix(index, key));
}

bool index_separator_is(const struct table_index *index, uint64_t page, loam_slice key)
{
    return index_separator_compare(index, page, key) == 0;
}

/* ---- checking ---- */

static const char *check_page_ends(const struct table_index *index, uint64_t pages_end)
{
    uint64_t start = 0;
    for (uint64_t page = 0; page < index->page_count; page++) {
        const uint64_t end = index_page_end(index, page);
        if (end < start || end - start <= BLOCK_HEADER_BYTES || end > pages_end)
            return "a page's end is out of place";
        if (!index_is_extent(index, page) && end - start > BLOCK_HEADER_BYTES + PAGE_BYTES_MAX)
            return "a page is too long";
        start = end;
    }
    return start == pages_end ? NULL : "the last page ends elsewhere";
}

static const char *check_separators(const struct table_index *index, uint64_t separator_bytes)
{
    uint64_t start = 0;
    for (uint64_t page = 0; page < index->page_count; page++) {
        const uint64_t end = get_u64(index->separator_ends + 8 * page);
        if (end < start || end > separator_bytes) return "a separator's end is out of place";
        if (end - start > 65535u - index->prefix_bytes) return "a separator is too long";
        const loam_slice rest = separator_rest(index, page);
        if (get_u64(index->heads + 8 * page) != bytes_head(rest, 0))
            return "a head is not its separator's";
        if (page > 0 && bytes_compare(separator_rest(index, page - 1), rest) > 0)
            return "separators out of order";
        start = end;
    }
    return start == separator_bytes ? NULL : "bytes behind the last separator";
}

static const char *check_tops(const struct table_index *index)
{
    const uint64_t groups = group_count(index->page_count);
    for (uint64_t group = 0; group < groups; group++) {
        const uint64_t next = (group + 1) * INDEX_GROUP;
        const uint64_t last = (next < index->page_count ? next : index->page_count) - 1;
        if (get_u64(index->tops + 8 * group) != get_u64(index->heads + 8 * last))
            return "a top is not its group's last head";
    }
    return NULL;
}

const char *index_open(struct table_index *index, loam_slice bytes, uint64_t pages_end)
{
    const uint8_t *at = bytes.data;
    if (bytes.len < INDEX_HEADER_BYTES) return "too short for an index";
    const uint64_t count = get_u64(at), separator_bytes = get_u64(at + 8);
    const uint32_t prefix_bytes = get_u32(at + 16);
    size_t left = bytes.len - INDEX_HEADER_BYTES;
    if (get_u32(at + 20) != 0 || get_u64(at + 24) != 0) return "unknown index header";
    if (count == 0 || count > UINT32_MAX || count > left / 24) return "impossible page count";
    left -= (size_t)(24 * count);
    if (group_count(count) > left / 8) return "impossible page count";
    left -= (size_t)(8 * group_count(count));
    if (prefix_bytes > 65535 || prefix_bytes > left) return "impossible prefix length";
    if (left - prefix_bytes != separator_bytes) return "impossible separator length";
    index->page_count = count;
    index->prefix_bytes = prefix_bytes;
    index->tops = at + INDEX_HEADER_BYTES;
    index->heads = index->tops + 8 * group_count(count);
    index->page_ends = index->heads + 8 * count;
    index->separator_ends = index->page_ends + 8 * count;
    index->prefix = index->separator_ends + 8 * count;
    index->separators = index->prefix + prefix_bytes;
    const char *fault = check_page_ends(index, pages_end);
    if (fault == NULL) fault = check_separators(index, separator_bytes);
    if (fault == NULL) fault = check_tops(index);
    return fault;
}

/* ---- writing ---- */

/* The length of a prefix of next or of last that separates them; *of_next says of which. */
static size_t separator_length(loam_slice last, loam_slice next, bool *of_next)
{
    const size_t common = bytes_common(last, next);
    *of_next = false;
    if (common == last.len) return last.len; /* last is the shortest itself */
    /* next, cut behind its first differing byte, is above last, and below next if it is shorter. */
    *of_next = next.len > common + 1 && last.len > common + 1;
    return *of_next ? common + 1 : last.len;
}

loam_status index_builder_add(struct index_builder *builder, uint64_t page_end, loam_slice last,
                              const loam_slice *next)
{
    bool of_next = false;
    uint8_t ends[16];
    const size_t len = next == NULL ? last.len : separator_length(last, *next, &of_next);
    loam_status rc = buf_append(&builder->separators, of_next ? next->data : last.data, len);
    if (rc < 0) return rc;
    put_u64(ends, page_end);
    put_u64(ends + 8, builder->separators.len);
    rc = buf_append(&builder->ends, ends, sizeof ends);
    if (rc < 0) return rc;
    builder->page_count++;
    return LOAM_OK;
}

static loam_slice whole_separator(const struct index_builder *builder, uint64_t page)
{
    const uint8_t *ends = builder->ends.data, *bytes = builder->separators.data;
    const uint64_t from = page == 0 ? 0 : get_u64(ends + 16 * (page - 1) + 8);
    return loam_bytes(bytes + from, (size_t)(get_u64(ends + 16 * page + 8) - from));
}

loam_status index_builder_finish(struct index_builder *builder, loam_buf *out)
{
    const uint64_t count = builder->page_count, groups = group_count(count);
    check(count > 0);
    const uint8_t *ends = builder->ends.data;
    const loam_slice first = whole_separator(builder, 0);
    const size_t prefix = bytes_common(first, whole_separator(builder, count - 1));
    const uint64_t rest_bytes = builder->separators.len - count * prefix;
    const uint64_t len = INDEX_HEADER_BYTES + 8 * groups + 24 * count + prefix + rest_bytes;
    const loam_status rc = buf_reserve(out, (size_t)len);
    if (rc < 0) return rc;
    uint8_t *at = out->data;
    memset(at, 0, INDEX_HEADER_BYTES);
    put_u64(at, count);
    put_u64(at + 8, rest_bytes);
    put_u32(at + 16, (uint32_t)prefix);
    uint8_t *tops = at + INDEX_HEADER_BYTES, *heads = tops + 8 * groups;
    uint8_t *page_ends = heads + 8 * count, *separator_ends = page_ends + 8 * count;
    uint8_t *rest = separator_ends + 8 * count;
    if (prefix > 0) memcpy(rest, first.data, prefix);
    rest += prefix;
    for (uint64_t page = 0; page < count; page++) {
        const loam_slice separator = whole_separator(builder, page);
        const uint8_t *bytes = separator.data;
        put_u64(heads + 8 * page, bytes_head(separator, prefix));
        put_u64(tops + 8 * (page / INDEX_GROUP), bytes_head(separator, prefix));
        put_u64(page_ends + 8 * page, get_u64(ends + 16 * page));
        put_u64(separator_ends + 8 * page, get_u64(ends + 16 * page + 8) - (page + 1) * prefix);
        if (separator.len > prefix) memcpy(rest, bytes + prefix, separator.len - prefix);
        rest += separator.len - prefix;
    }
    out->len = (size_t)len;
    return LOAM_OK;
}

uint64_t index_builder_bytes(const struct index_builder *builder)
{
    return INDEX_HEADER_BYTES + 25 * builder->page_count + builder->separators.len;
}

void index_builder_deinit(struct index_builder *builder)
{
    loam_buf_free(&builder->ends);
    loam_buf_free(&builder->separators);
    builder->page_count = 0;
}
