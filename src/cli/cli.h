/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the command line: what main() knows and commands use. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/resource_kind.h"
#include "cli/args.h"
#include "cli/command.h"

struct build_problem;

struct cli {
    struct arena *arena; /* lives as long as the program */
    struct args args;
    bool is_json;
    const char *server; /* "http://127.0.0.1:8888" without a slash at the end */
    const char *token;  /* or NULL */
    const char *space;  /* namespace; NULL: none was named */
    bool is_quiet;      /* says nothing of what went well */
    /* Told, beside what is printed, why a build failed; NULL: nobody asks. */
    void (*on_problem)(struct cli *cli, const struct build_problem *why);
    void *user;       /* of who set that */
    const char *word; /* what a project is: "function" or "workflow"; NULL: the command says it */
};

/* What kind of modules the command is about, "workflow" say: those of all kinds share their code. Those
 * that name none are about functions. */
const char *cli_word(const struct cli *cli);

int cmd_help(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_serve(struct cli *cli);
int cmd_upload(struct cli *cli);
int cmd_deploy(struct cli *cli);
int cmd_project_build(struct cli *cli);
int cmd_dev(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_types(struct cli *cli);
int cmd_versions_list(struct cli *cli);
int cmd_versions_view(struct cli *cli);
int cmd_versions_promote(struct cli *cli);
int cmd_versions_rollback(struct cli *cli);
int cmd_function_list(struct cli *cli);
int cmd_function_show(struct cli *cli);
int cmd_function_delete(struct cli *cli);
int cmd_function_run(struct cli *cli);
int cmd_function_logs(struct cli *cli);
int cmd_build_status(struct cli *cli);
int cmd_build_list(struct cli *cli);
int cmd_env_set(struct cli *cli);
int cmd_env_get(struct cli *cli);
int cmd_env_list(struct cli *cli);
int cmd_env_delete(struct cli *cli);
int cmd_workflow_run(struct cli *cli);
int cmd_workflow_check(struct cli *cli);
int cmd_workflow_migrate(struct cli *cli);
int cmd_execution_list(struct cli *cli);
int cmd_execution_show(struct cli *cli);
int cmd_execution_wait(struct cli *cli);
int cmd_execution_journal(struct cli *cli);
int cmd_execution_logs(struct cli *cli);
int cmd_execution_signal(struct cli *cli);
int cmd_execution_cancel(struct cli *cli);
int cmd_execution_pause(struct cli *cli);
int cmd_execution_resume(struct cli *cli);
int cmd_d1_execute(struct cli *cli);
int cmd_d1_export(struct cli *cli);
int cmd_d1_migrations_create(struct cli *cli);
int cmd_d1_migrations_list(struct cli *cli);
int cmd_d1_migrations_apply(struct cli *cli);
int cmd_execution_restart(struct cli *cli);
int cmd_execution_retry(struct cli *cli);
int cmd_execution_fork(struct cli *cli);
/* Resources of the kind that the command is about: cmd_resource.c. */
enum resource_kind cli_resource_kind(const struct cli *cli);
/* The path of one of them, and what follows. */
const char *cli_resource_path(struct cli *cli, const char *name, const char *rest);
int cmd_schedule_create(struct cli *cli);
int cmd_schedule_list(struct cli *cli);
int cmd_schedule_show(struct cli *cli);
int cmd_schedule_pause(struct cli *cli);
int cmd_schedule_resume(struct cli *cli);
int cmd_schedule_trigger(struct cli *cli);
int cmd_schedule_backfill(struct cli *cli);
int cmd_schedule_delete(struct cli *cli);
int cmd_queue_send(struct cli *cli);
int cmd_queue_purge(struct cli *cli);
int cmd_queue_pause(struct cli *cli);
int cmd_queue_resume(struct cli *cli);
int cmd_resource_create(struct cli *cli);
int cmd_resource_list(struct cli *cli);
int cmd_resource_show(struct cli *cli);
int cmd_resource_delete(struct cli *cli);
int cmd_kv_list(struct cli *cli);
int cmd_kv_get(struct cli *cli);
int cmd_kv_put(struct cli *cli);
int cmd_kv_delete(struct cli *cli);
int cmd_kv_export(struct cli *cli);
int cmd_kv_import(struct cli *cli);
int cmd_namespace_create(struct cli *cli);
int cmd_namespace_list(struct cli *cli);
int cmd_namespace_show(struct cli *cli);
int cmd_namespace_delete(struct cli *cli);
int cmd_token_create(struct cli *cli);
int cmd_token_list(struct cli *cli);
int cmd_token_revoke(struct cli *cli);
int cmd_secret_set(struct cli *cli);
int cmd_secret_list(struct cli *cli);
int cmd_secret_delete(struct cli *cli);
int cmd_routes_list(struct cli *cli);
int cmd_egress_list(struct cli *cli);
int cmd_egress_allow(struct cli *cli);
int cmd_egress_deny(struct cli *cli);
int cmd_egress_default(struct cli *cli);
int cmd_egress_remove(struct cli *cli);
int cmd_egress_test(struct cli *cli);
int cmd_audit_list(struct cli *cli);
int cmd_audit_verify(struct cli *cli);
int cmd_usage(struct cli *cli);
int cmd_quota_set(struct cli *cli);
int cmd_quota_list(struct cli *cli);
int cmd_quota_show(struct cli *cli);
int cmd_quota_unset(struct cli *cli);

/* What `limpet help serve` prints is the server's. */
int serve_help(void);
/* Help texts to standard output: of one command, or of all whose path begins so ("": all). */
void help_command(const struct command *command);
void help_group(const char *path);
