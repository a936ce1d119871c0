// Package optimizer turns offers, jobs, quotas and what is held into a plan: which
// machines to hold, which replica goes onto which, at the least cost over a horizon,
// with a proof of how far from the least it can be. docs/MODEL.md is its mathematics.
//
//	NewProblem   checks the input, merges equal groups into classes, filters offers
//	             with counted refusals, groups machines of one shape
//	Solve        greedy → relaxed program and bound → dives → exact or recreate → Check
//	Check        knows no solver: verifies every rule from the nouns and prices anew
//
// # Sets, variables and rows
//
//	o offers, j task groups in classes, v variants, f failure domains, q quotas
//	c patterns: one machine and a_cjv replicas on it;  cost_c = p_o (s_o + max T_jv) + egress
//	(0) cover    Σ a_cjv x_c ≥ d_j                       training; gangs by their replicas
//	(1) gang     all n_j replicas in one zone, or none
//	(2) rate     Σ θ_jv a_cjv x_c ≥ λ_j (1 + headroom_j)
//	(3) survive  Σ_{c not in f} θ_jv a_cjv x_c ≥ κ_j λ_j  for every f alone
//	(5) limits   z_o ≤ L_o,  Σ w_oq z_o ≤ K_q
//
// First as little as possible is missed, by priority; then the cost is least. The
// bound relaxes (1) to (0) and takes services as mixtures of whole configurations
// (which variant how often in which domain), so it holds for every plan.
//
// # Reproducible
//
// Everything is a function of the input, the work limits and the seed: no clock, no
// environment, no order of a map. A context's deadline may end the search early; the
// best plan so far is then given, marked CutByTime.
//
// # Failures
//
// NewProblem and Solve return invalid for bad input, with its place. A solver that
// breaks, or a plan that fails its own check, is internal. What cannot be placed is
// no error: the plan's status and Unplaced say it, with counted refusals.
package optimizer
