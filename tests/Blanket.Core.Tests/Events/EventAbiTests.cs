using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;

namespace Blanket.Core.Tests.Events;

/// <summary>Sizes and offsets of the public headers, as a C compiler lays them out for x86-64.</summary>
public sealed class EventAbiTests
{
    [Fact]
    public void VcpuInfoIsLaidOutAsInTheHeader()
    {
        Assert.Equal(VcpuInfo.Size, Unsafe.SizeOf<VcpuInfo>());
        Assert.Equal(32, Unsafe.SizeOf<VcpuTimeInfo>());
        Assert.Equal(VcpuInfo.EventMaskOffset, Offset<VcpuInfo>(nameof(VcpuInfo.EventMask)));
        Assert.Equal(VcpuInfo.PendingSelectorOffset, Offset<VcpuInfo>(nameof(VcpuInfo.PendingSelector)));
        Assert.Equal(VcpuInfo.Cr2Offset, Offset<VcpuInfo>(nameof(VcpuInfo.Cr2)));
        Assert.Equal(VcpuInfo.TimeOffset, Offset<VcpuInfo>(nameof(VcpuInfo.Time)));
        Assert.Equal(24, Offset<VcpuTimeInfo>(nameof(VcpuTimeInfo.TscToSystemMultiplier)));
        Assert.Equal(28, Offset<VcpuTimeInfo>(nameof(VcpuTimeInfo.TscShift)));
        Assert.Equal(29, Offset<VcpuTimeInfo>(nameof(VcpuTimeInfo.Flags)));
    }

    [Fact]
    public void SharedInfoIsLaidOutAsInTheHeader()
    {
        Assert.Equal(SharedInfo.LegacyVcpus * VcpuInfo.Size, SharedInfo.EventPendingOffset);
        Assert.Equal(2048, SharedInfo.EventPendingOffset);
        Assert.Equal(2560, SharedInfo.EventMaskOffset);
        Assert.Equal(3072, SharedInfo.WallClockVersionOffset);
        Assert.Equal(3084, SharedInfo.WallClockSecondsHighOffset);
        Assert.Equal(3088, SharedInfo.MaximumPfnOffset);
        Assert.Equal(3128, SharedInfo.P2MGenerationOffset);
        Assert.Equal(3136, SharedInfo.Size);
    }

    [Fact]
    public void HypercallArgumentsAreLaidOutAsInTheHeader()
    {
        Assert.Equal(8, Unsafe.SizeOf<EventChannelAllocateUnbound>());
        Assert.Equal(12, Unsafe.SizeOf<EventChannelBindInterdomain>());
        Assert.Equal(8, Offset<EventChannelBindInterdomain>(nameof(EventChannelBindInterdomain.LocalPort)));
        Assert.Equal(24, Unsafe.SizeOf<EventChannelStatus>());
        Assert.Equal(24, Unsafe.SizeOf<EventChannelInitializeControl>());
        Assert.Equal(16, Offset<EventChannelInitializeControl>(nameof(EventChannelInitializeControl.LinkBits)));
        Assert.Equal(2, Unsafe.SizeOf<EventChannelReset>());
        Assert.Equal(72, EventChannelFifo.ControlBlockSize);
        Assert.Equal(131_072u, EventChannelFifo.Ports);
        Assert.Equal(128, EventChannelFifo.ArrayPages);
    }

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);
}
