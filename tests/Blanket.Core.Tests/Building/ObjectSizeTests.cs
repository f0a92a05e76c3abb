using System;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Building;

/// <summary>
/// What a start makes sure of before it creates objects is enough for them: the runtime's objects have the same layout, and a few bytes more or less,
/// in both flavours.
/// </summary>
public sealed class ObjectSizeTests
{
    [Fact]
    public void ObjectsTakeWhatTheirStepOfTheStartMayTake()
    {
        _ = new TestMachine(1024);
        for (int leaf = 0; leaf < FrameOwners.Leaves; leaf++)
        {
            FrameOwners.CreateEntry(new Domain(FirstOfLeaf(leaf), 1));
        }

        // All leaves of the table are in use: it gets another.
        Domain domain = new(FirstOfLeaf(FrameOwners.Leaves), Domain.MaximumVcpus);
        Assert.True(FrameAllocator.TryAllocate(VcpuState.Order, ulong.MaxValue, out ulong state));
        Assert.InRange(Measure(() => _ = new Domain(2, Domain.MaximumVcpus)), 1, Domain.ObjectSize);
        Assert.InRange(Measure(() => FrameOwners.CreateEntry(domain)), 1, FrameOwners.ObjectSize);
        Assert.InRange(Measure(() => CreateTables(domain)), 1, Domain.ObjectSize);
        Assert.InRange(Measure(() => _ = new Vcpu(domain, 0, state)), 1, Vcpu.ObjectSize);
    }

    private static ushort FirstOfLeaf(int leaf) => (ushort)((leaf << 7) + 1);

    private static void CreateTables(Domain domain)
    {
        domain.CreateEventChannels();
        Assert.True(domain.CreateGrantTable());
    }

    private static long Measure(Action create)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        create();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
