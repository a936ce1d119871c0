package kubernetes

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"purser"
	"purser/providers"
)

// logBytes bounds what one call brings of one pod, the next call goes on from there;
// lineBytes bounds a line, of which the rest is left out.
const (
	logBytes  = 4 << 20
	lineBytes = 64 << 10
)

// Logs gives a task's lines as the cluster still has them, of each of its pods in the
// order of their making.
func (p *Provider) Logs(ctx context.Context, l purser.Lease, task purser.TaskID, since time.Time) ([]providers.LogLine, error) {
	const op = "kubernetes.Logs"
	pods, err := p.listPods(ctx, op, p.Namespace, metav1.ListOptions{LabelSelector: p.ofLease(partTask, l.ID) + "," + LabelTask + "=" + labelValue(string(task))})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var out []providers.LogLine
	for _, pod := range pods {
		lines, err := p.podLog(ctx, op, pod.Name, since)
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	return out, nil
}

func (p *Provider) podLog(ctx context.Context, op, pod string, since time.Time) ([]providers.LogLine, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is not read is not sent
	o := &corev1.PodLogOptions{Container: containerName, Timestamps: true}
	if !since.IsZero() {
		from := metav1.NewTime(since)
		o.SinceTime = &from // in whole seconds; the rest is left out below
	}
	body, err := p.core.Pods(p.Namespace).GetLogs(pod, o).Stream(ctx)
	if apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) {
		return nil, nil // its container has not started, or the pod is gone by now
	}
	if err != nil {
		return nil, failed(op, err)
	}
	lines, err := logLines(body, since)
	_ = body.Close() // read as far as it matters
	return lines, failed(op, err)
}

// logLines reads lines that begin with their time, as far as logBytes of those after since.
// The ones before do not count, or a second with more of them would be read for ever.
func logLines(body io.Reader, since time.Time) (out []providers.LogLine, err error) {
	r := bufio.NewReaderSize(body, lineBytes)
	for size := 0; size < logBytes; {
		text, cut, err := r.ReadLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		stamp, line, _ := strings.Cut(string(text), " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && at.After(since) {
			out = append(out, providers.LogLine{At: at.UTC(), Text: line})
			size += len(text)
		}
		for cut {
			if _, cut, err = r.ReadLine(); err != nil {
				break // it is met again above
			}
		}
	}
	return out, nil
}
