using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>A simulated machine with the memory parts of the hypervisor ready, and domains on it.</summary>
internal sealed class TestMachine
{
    /// <summary>Entries of slots 256-271 that the tests expect in every root table.</summary>
    public static readonly ulong[] Slots = CreateSlots();

    private static readonly LogText s_log = CreateLog();
    private readonly List<ulong> _overhead = [];

    public TestMachine(int frames = 512)
    {
        PendingWork.Exists = false;
        FrameTable.Simulate(frames);
        FrameOwners.Initialize();
        FrameQuarantine.Initialize();
        Remote = new RecordingRemoteTlb();
        TlbFlush.Initialize(Remote);
        HypervisorSlots.Initialize(Slots);
        int order = 0;
        while ((Cpu.PageSize << order) < frames * MachineToPhysical.EntrySize)
        {
            order++;
        }

        Assert.True(FrameAllocator.TryAllocate(order, ulong.MaxValue, out ulong table));
        MachineToPhysical.Initialize(table << Cpu.PageShift, (ulong)frames);
        s_log.Text.Clear();
    }

    public RecordingRemoteTlb Remote { get; }

    /// <summary>What the hypervisor has logged.</summary>
    public string LogText => s_log.Text.ToString();

    public Domain CreateDomain(ushort id, int vcpus, ulong maximumFrames)
    {
        // The next life of a domain that was taken apart.
        if (FrameOwners.Find(id) is Domain gone)
        {
            FrameOwners.Remove(gone);
        }

        Domain domain = new(id, vcpus) { MaximumFrames = maximumFrames };
        FrameOwners.CreateEntry(domain);
        for (int i = 0; i < vcpus; i++)
        {
            Assert.True(FrameAllocator.TryAllocate(VcpuState.Order, ulong.MaxValue, out ulong state));
            for (ulong frame = state; frame < state + (1UL << VcpuState.Order); frame++)
            {
                PhysicalMemory.ZeroFrame(frame);
            }

            _overhead.Add(state);
            domain.Vcpus[i] = new Vcpu(domain, i, state);
            domain.Vcpus[i]!.State.InKernel = 1;
        }

        return domain;
    }

    /// <summary>Destroys a domain whose references from elsewhere have been dropped.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="preemption">Says when other work waits: never for null.</param>
    /// <param name="auditsEachGo">Every count has to be right whenever the teardown is suspended, too.</param>
    public void Destroy(Domain domain, Random? preemption = null, bool auditsEachGo = false)
    {
        domain.IsDying = true;
        foreach (Vcpu? vcpu in domain.Vcpus)
        {
            if (vcpu != null && vcpu.DirtyCpu >= 0)
            {
                TlbFlush.LeaveVcpu();
                vcpu.DirtyCpu = -1;
            }
        }

        int tries = 0;
        do
        {
            Assert.True(tries++ < 100_000, "teardown does not end");
            if (auditsEachGo)
            {
                Audit();
            }

            PendingWork.Exists = preemption != null && preemption.Next(2) == 0;
        }
        while (DomainTeardown.Run(domain) != 0);

        PendingWork.Exists = false;
        FrameQuarantine.Drain();
    }

    /// <summary>Fails unless every count is explained by who holds it.</summary>
    public void Audit(IReadOnlyList<ulong>? references = null, IReadOnlyList<ulong>? writable = null, Func<string>? describe = null)
    {
        s_log.Text.Clear();
        int differences = MemoryAudit.Run(ToArray(references), ToArray(writable));
        if (differences != 0)
        {
            Assert.Fail(LogText + describe?.Invoke());
        }
    }

    /// <summary>Fails when a free frame still has contents.</summary>
    public static void AssertScrubbed()
    {
        for (ulong frame = 1; frame < FrameTable.Limit; frame++)
        {
            if (FrameTable.Of(frame).State == FrameState.Free)
            {
                Assert.True(PhysicalMemory.Frame(frame).IndexOfAnyExcept((byte)0) < 0, "a free frame is not scrubbed");
            }
        }
    }

    private static ulong[] ToArray(IReadOnlyList<ulong>? list)
    {
        ulong[] array = new ulong[list?.Count ?? 0];
        for (int i = 0; i < array.Length; i++)
        {
            array[i] = list![i];
        }

        return array;
    }

    private static ulong[] CreateSlots()
    {
        ulong[] slots = new ulong[16];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = 0x7000_0000UL + (ulong)i * 0x1000 + 0x63;
        }

        return slots;
    }

    private static LogText CreateLog()
    {
        Log.Initialize(4096);
        LogText text = new();
        Log.AddSink(text);
        return text;
    }
}

/// <summary>Collects the log.</summary>
internal sealed class LogText : LogSink
{
    public StringBuilder Text { get; } = new();

    public override void Write(ReadOnlySpan<byte> bytes) => Text.Append(Encoding.ASCII.GetString(bytes));
}

/// <summary>Stands for the other CPUs' TLBs.</summary>
internal sealed class RecordingRemoteTlb : RemoteTlb
{
    public List<CpuSet> Flushes { get; } = [];

    public override void Flush(in CpuSet cpus) => Flushes.Add(cpus);
}
