/*
 * handlers.h - what commands do; one function for each line of the table.
 *
 * Role: the contract between the table in command.c and its implementations. A
 *   handler writes to session->out, complains itself and returns an exit status.
 * In the picture: shell layer; implemented in cmd_data, cmd_merge, cmd_ttl, cmd_txn, cmd_collection,
 *   cmd_care, cmd_explain, cmd_levels, cmd_repair, cmd_inspect, cmd_backup, cmd_tail, cmd_help, import and
 *   export.
 */
#ifndef LOAM_SHELL_HANDLERS_H
#define LOAM_SHELL_HANDLERS_H

#include "shell/args.h"
#include "shell/session.h"

int cmd_put(struct session *session, const struct args *args);
int cmd_get(struct session *session, const struct args *args);
int cmd_delete(struct session *session, const struct args *args);
int cmd_exists(struct session *session, const struct args *args);
int cmd_scan(struct session *session, const struct args *args);
int cmd_count(struct session *session, const struct args *args);
/* Of a range, in the transaction if one is open; NULL: all. */
int delete_keys(struct session *session, const loam_range *range);
int cmd_delete_range(struct session *session, const struct args *args);
int cmd_truncate(struct session *session, const struct args *args);
int cmd_estimate(struct session *session, const struct args *args);

int cmd_ttl(struct session *session, const struct args *args);
int cmd_expire(struct session *session, const struct args *args);
int cmd_persist(struct session *session, const struct args *args);
int cmd_merge(struct session *session, const struct args *args);
int cmd_incr(struct session *session, const struct args *args);

int cmd_cas(struct session *session, const struct args *args);
int cmd_begin(struct session *session, const struct args *args);
int cmd_savepoint(struct session *session, const struct args *args);
int cmd_rollback(struct session *session, const struct args *args);
int cmd_commit(struct session *session, const struct args *args);

int cmd_create(struct session *session, const struct args *args);
int cmd_alter(struct session *session, const struct args *args);
int cmd_clone(struct session *session, const struct args *args);
int cmd_use(struct session *session, const struct args *args);
int cmd_close(struct session *session, const struct args *args);
int cmd_collections(struct session *session, const struct args *args);
int cmd_rename(struct session *session, const struct args *args);
int cmd_drop(struct session *session, const struct args *args);

int cmd_import(struct session *session, const struct args *args);
int cmd_export(struct session *session, const struct args *args);

int cmd_stats(struct session *session, const struct args *args);
int cmd_explain(struct session *session, const struct args *args);
bool explain_writes(const struct args *args); /* it is of a put */
int cmd_doctor(struct session *session, const struct args *args);
int cmd_levels(struct session *session, const struct args *args);
int cmd_flush(struct session *session, const struct args *args);
int cmd_compact(struct session *session, const struct args *args);
int cmd_verify(struct session *session, const struct args *args);
int cmd_repair(struct session *session, const struct args *args);
int cmd_inspect(struct session *session, const struct args *args);
int cmd_checkpoint(struct session *session, const struct args *args);
int cmd_backup(struct session *session, const struct args *args);
int cmd_tail(struct session *session, const struct args *args);
int cmd_restore(struct session *session, const struct args *args);

int cmd_help(struct session *session, const struct args *args);
int cmd_version(struct session *session, const struct args *args);
int cmd_bench(struct session *session, const struct args *args);
int cmd_exit(struct session *session, const struct args *args);

#endif
