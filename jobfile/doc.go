// Package jobfile reads what users write: job files, which say what is to run,
// and limits files, which say what the account may hold and what machines are
// owned already. docs/jobfile.md is the reference for users; Schema and
// LimitsSchema are the same for editors.
//
// # Way of a file
//
//	bytes ─▶ node tree ─▶ fields ─▶ purser.Job ─▶ purser.Job.Check
//
// YAML and JSON become one tree of nodes with line and column. The tree is held
// against limits (size, depth, what aliases grow to) before any of it is
// decoded. Decoding is strict and driven by one table of fields for each mapping;
// the published schema is tested against the same tables. Families of
// accelerators (A100) become one variant for each model. What
// purser.Job.Check refuses is traced back to the line it came from.
//
// # Failures
//
// Every error is a *purser.Error of kind invalid with a Place and, where there is
// one to give, a Hint. One error is given for a file, the first met in reading
// order, since later ones often follow from it. Nothing is read beyond MaxSize,
// and nothing is kept of a file with an error.
//
// Parsing is pure: the time that "in 12h" counts from and the way to local files
// are arguments. Load alone touches the disk.
package jobfile
