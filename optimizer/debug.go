package optimizer

var Debug func(string, ...any)

func Dbg(f string, a ...any) {
	if Debug != nil {
		Debug(f, a...)
	}
}
