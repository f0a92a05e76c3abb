using System;
using System.Collections.Generic;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>
/// The TLB of CPU 0, as bad as the architecture allows: translations, and pointers to page tables, stay until the CPU flushes.
/// </summary>
internal sealed class TlbModel
{
    private readonly record struct Line(ulong Frame, ushort Owner, bool Writable, ulong TableType, ulong Time);

    private readonly List<Line> _lines = [];

    /// <summary>An access of a guest, which fills the TLB with all that the walk met.</summary>
    public void Access(TestGuest guest, ulong linear, bool write)
    {
        if (guest.Vcpu.KernelRoot == 0)
        {
            return;
        }

        ulong time = TlbClock.Now;
        ulong table = guest.Vcpu.KernelRoot;
        bool writable = true;
        for (int shift = 39; shift >= 12; shift -= 9)
        {
            Add(table, false, TestGuest.TypeOf(table), time);
            int slot = (int)(linear >> shift) & 511;
            ulong entry = TestGuest.Get(table, slot);
            if ((entry & PageTableEntry.Present) == 0 || HypervisorSlots.Contains(slot))
            {
                return;
            }

            writable &= (entry & PageTableEntry.Writable) != 0;
            table = PageTableEntry.Frame(entry);
        }

        Add(table, writable && write, 0, time);
    }

    /// <summary>Fails when a frame has changed its use or owner under a translation that may still be there.</summary>
    public void Check(Func<string> describe)
    {
        _lines.RemoveAll(line => !TlbClock.IsStale(0, line.Time));
        foreach (Line line in _lines)
        {
            ref FrameInfo info = ref FrameTable.Of(line.Frame);
            ulong type = info.Type & FrameType.Mask;
            bool inUse = (info.Type & FrameType.CountMask) != 0;
            bool kept = info.State == FrameState.Domain && info.Owner == line.Owner;
            bool writableStill = !line.Writable || !inUse || type == FrameType.Writable;
            bool tableStill = line.TableType == 0 || !inUse || type == line.TableType;
            if (!kept || !writableStill || !tableStill)
            {
                Assert.Fail($"{line} but now owner {info.Owner}, type {info.Type:x}\n" + describe());
            }
        }
    }

    private void Add(ulong frame, bool writable, ulong tableType, ulong time) =>
        _lines.Add(new Line(frame, FrameTable.Of(frame).Owner, writable, tableType, time));
}
