package kubernetes

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
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

// logBytes bounds what one call brings of one pod; the next call goes on from there.
const logBytes = 4 << 20

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
	most := int64(logBytes)
	o := &corev1.PodLogOptions{Container: containerName, Timestamps: true, LimitBytes: &most}
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
	text, err := io.ReadAll(io.LimitReader(body, logBytes))
	_ = body.Close() // read as far as it matters
	if err != nil {
		return nil, failed(op, err)
	}
	if i := bytes.LastIndexByte(text, '\n'); len(text) == logBytes && i > 0 {
		text = text[:i] // what follows was cut off, and comes with the next call
	}
	return logLines(text, since), nil
}

// logLines reads lines that begin with their time.
func logLines(text []byte, since time.Time) (out []providers.LogLine) {
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, logBytes)
	for s.Scan() {
		stamp, line, _ := strings.Cut(s.Text(), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && at.After(since) {
			out = append(out, providers.LogLine{At: at.UTC(), Text: line})
		}
	}
	return out
}
