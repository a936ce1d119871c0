package embedded

import (
	"fmt"

	"purser"
)

// fail makes an error whose message is one sentence for the user; cause may be nil.
func fail(kind purser.Kind, op string, cause error, format string, args ...any) *purser.Error {
	return &purser.Error{Kind: kind, Op: op, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// hint adds what to do about it.
func hint(e *purser.Error, format string, args ...any) *purser.Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}
