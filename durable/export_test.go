package durable

import "time"

// SetTimeout gives each statement of m this time.
func (m *MySQL) SetTimeout(d time.Duration) { m.timeout = d }

// SetPacket has m take that for the packets of the server, so that its statements are small.
func (m *MySQL) SetPacket(bytes int64) { m.packet.Store(bytes) }
