/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "controlplane/config.h"
#include "controlplane/daemon.h"

int main(int argc, char **argv)
{
	sl_auto(config) config = NULL;
	enum config_action action;
	char error[512];
	int r;

	if (config_load(argc, argv, &config, &action, error)) {
		fprintf(stderr, "sluiced: %s\n", error);
		return 2;
	}
	if (action == CONFIG_EXIT)
		return EXIT_SUCCESS;

	log_set_level_name(config->log_level);
	log_take_libbpf();
	if (config->cleanup)
		r = daemon_cleanup(config, error);
	else if (config->init_only)
		r = daemon_init(config, error);
	else
		r = daemon_run(config, error);
	if (r < 0) {
		log_error("daemon: %s", error);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
