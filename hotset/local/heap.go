package local

import stdheap "container/heap"

// heap is a binary heap of waiting members, the earliest first. Each item knows its
// index in the heap, so that any can be removed in O(log n).
type heap struct{ items order }

func (h *heap) len() int        { return len(h.items) }
func (h *heap) push(it *item)   { stdheap.Push(&h.items, it) }
func (h *heap) remove(it *item) { stdheap.Remove(&h.items, it.index) }

// countUpTo counts members with a score of at most ms, and visits no more than
// twice as many.
func (h *heap) countUpTo(ms int64) (n int64) {
	open := []int{0}
	for len(open) > 0 {
		i := open[len(open)-1]
		open = open[:len(open)-1]
		if i < len(h.items) && h.items[i].score <= ms {
			n++
			open = append(open, 2*i+1, 2*i+2)
		}
	}
	return n
}

// order is a heap.Interface: the item with the lowest score comes first, and of equal scores the lowest ID.
type order []*item

// Len implements sort.Interface.
func (o order) Len() int { return len(o) }

// Less implements sort.Interface.
func (o order) Less(i, j int) bool {
	if o[i].score != o[j].score {
		return o[i].score < o[j].score
	}
	return o[i].ID < o[j].ID
}

// Swap implements sort.Interface. Each item knows its index.
func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

// Push implements heap.Interface.
func (o *order) Push(x any) {
	it := x.(*item)
	it.index = len(*o)
	*o = append(*o, it)
}

// Pop implements heap.Interface.
func (o *order) Pop() any {
	last := len(*o) - 1
	it := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	it.index = -1
	return it
}
