/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How values of each type are checked and stored: config_field.set. */

#include "controlplane/config_table.h"

#define CONFIG_SETTER(name)                                                                        \
	int name(struct config *config, const struct config_field *field,                          \
		 const struct config_values *values, size_t *ret_bad,                              \
		 char reason[CONFIG_REASON_MAX])

CONFIG_SETTER(config_set_instance);
CONFIG_SETTER(config_set_node_name);
CONFIG_SETTER(config_set_path); /* absolute */
CONFIG_SETTER(config_set_text_field);
CONFIG_SETTER(config_set_api_servers);
CONFIG_SETTER(config_set_word);	      /* one of the choices, stored as text */
CONFIG_SETTER(config_set_choice);     /* one of the choices, stored as its index */
CONFIG_SETTER(config_set_masquerade); /* the same, and that it was set */
CONFIG_SETTER(config_set_flag);	      /* one of false and true, stored as bool */
CONFIG_SETTER(config_set_number);
CONFIG_SETTER(config_set_ports);
CONFIG_SETTER(config_set_interfaces);
CONFIG_SETTER(config_set_networks);
CONFIG_SETTER(config_set_cluster_cidrs);
CONFIG_SETTER(config_set_service_cidrs);
CONFIG_SETTER(config_set_interface); /* a name or its beginning, may be empty */
CONFIG_SETTER(config_set_bind);	     /* ADDRESS[:PORT], may be empty; S-210 */
CONFIG_SETTER(config_set_metrics_bind);
CONFIG_SETTER(config_set_oom_score);

/* Each frees a list and what is in it. */
void config_clear_interfaces(struct config *config);
void config_clear_networks(struct config *config);
void config_clear_api_servers(struct config *config);
