/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How soon the kernel ends this process when memory runs out (S-254). */

/* Sets /proc/self/oom_score_adj; what fails is a warning. */
void oom_set_score(int score);
