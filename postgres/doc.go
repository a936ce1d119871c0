// Package postgres keeps everything that Purser knows, and holds all of its SQL.
package postgres
