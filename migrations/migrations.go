// Package migrations holds the numbered SQL that makes Purser's schema. Package
// postgres applies it, in order, under a lock; nothing else reads it.
//
// A file that was released is never changed: what is wrong in it is mended by a
// later one. There is no way down, because a column that was dropped takes its
// data along; a backup is the way back.
//
// Conventions, kept by a test in package postgres: every table says its owner in
// its comment, every CHECK has a name, money is bigint nano-USD (10⁻⁹ $), sizes
// carry their unit in the column's name, times are timestamptz.
package migrations

import "embed"

// FS holds the files, named NNNNN_subject.sql.
//
//go:embed *.sql
var FS embed.FS
