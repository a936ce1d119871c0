package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"purser"
)

// fail turns what pgx returns into an Error with a kind. An error that has a kind
// already (a missing row that the caller has named, a transition that is not
// allowed) passes as it is.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*purser.Error](err); ok {
		return err
	}
	kind, message := classify(err)
	return &purser.Error{Kind: kind, Op: op, Message: message, Cause: err}
}

func classify(err error) (purser.Kind, string) {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyCode(pg.Code)
	}
	var netErr net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return purser.KindUnavailable, "the call was given up"
	case errors.Is(err, context.DeadlineExceeded):
		return purser.KindUnavailable, "the database did not answer in time"
	case errors.Is(err, pgx.ErrNoRows):
		return purser.KindNotFound, "there is no such thing"
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), pgconn.Timeout(err):
		return purser.KindUnavailable, "the database cannot be reached"
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return purser.KindUnavailable, "the database cannot be reached"
	}
	return purser.KindInternal, "the store failed"
}

// classifyCode reads an SQLSTATE: its first two characters are the class.
func classifyCode(code string) (purser.Kind, string) {
	switch code {
	case "23505":
		return purser.KindConflict, "it exists already"
	case "23503":
		return purser.KindNotFound, "something that it refers to does not exist"
	case "23514":
		return purser.KindInvalid, "a value is out of its range"
	case "23001":
		return purser.KindConflict, "rows of this table are only ever added"
	case codeSerialization, codeDeadlock, "55P03":
		return purser.KindUnavailable, "others changed the same things at the same time"
	case "57014":
		return purser.KindUnavailable, "the database took too long"
	case codeUndefinedTable:
		return purser.KindConflict, "the database lacks Purser's tables"
	}
	switch code[:2] {
	case "22":
		return purser.KindInvalid, "a value cannot be stored"
	case "08", "53", "57":
		return purser.KindUnavailable, "the database cannot be reached"
	case "28":
		return purser.KindUnavailable, "the database refuses the sign-in"
	}
	return purser.KindInternal, "the store failed"
}

const (
	codeSerialization  = "40001"
	codeDeadlock       = "40P01"
	codeUndefinedTable = "42P01"
)

// repeatable says that nothing of a transaction was done and that it may be tried
// again: it lost against another one, or its connection was found dead before
// anything was sent.
func repeatable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == codeSerialization || pg.Code == codeDeadlock
	}
	return pgconn.SafeToRetry(err)
}

// badDSN leaves out the cause, which may show the password.
func badDSN(op string) error {
	return &purser.Error{
		Kind: purser.KindInvalid, Op: op, Message: "the address of the database cannot be read",
		Hint: "write it like postgres://user@host:5432/purser",
	}
}

func notFound(op, what string, name any) error {
	return purser.Errorf(purser.KindNotFound, op, "there is no %s %q", what, fmt.Sprint(name))
}

// orNotFound names what a query without a row was looking for.
func orNotFound(op, what string, name any, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound(op, what, name)
	}
	return fail(op, err)
}
