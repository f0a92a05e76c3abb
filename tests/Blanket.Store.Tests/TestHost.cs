using System;
using System.Collections.Generic;
using System.Text;

namespace Blanket.Store.Tests;

/// <summary>A hypervisor around the store under test.</summary>
internal sealed class TestHost : StoreHost
{
    private ulong _now = 1_000_000_000;

    public override ulong Now => _now;

    public int Wakes { get; private set; }

    public List<string> Printed { get; } = [];

    /// <summary>Rings that INTRODUCE may find, by domain.</summary>
    public Dictionary<ushort, TestRing> Rings { get; } = [];

    public (ushort Domid, ulong Frame, uint Port) LastIntroduced { get; private set; }

    public void Advance(ulong nanoseconds) => _now += nanoseconds;

    public override void WorkArrived() => Wakes++;

    public override StoreRing? CreateRing(ushort domid, ulong frame, uint port)
    {
        LastIntroduced = (domid, frame, port);
        return Rings.GetValueOrDefault(domid);
    }

    public override void Print(ReadOnlySpan<byte> text) => Printed.Add(Encoding.ASCII.GetString(text));
}
