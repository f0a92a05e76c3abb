using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;

namespace Blanket.Core.Tests.Grants;

/// <summary>Sizes and offsets of grant_table.h, as a C compiler lays them out for x86-64.</summary>
public sealed class GrantAbiTests
{
    [Fact]
    public void ArgumentsAreLaidOutAsInTheHeader()
    {
        Assert.Equal(32, Unsafe.SizeOf<GrantMapArgument>());
        Assert.Equal(18, Offset<GrantMapArgument>(nameof(GrantMapArgument.Status)));
        Assert.Equal(20, Offset<GrantMapArgument>(nameof(GrantMapArgument.Handle)));
        Assert.Equal(24, Offset<GrantMapArgument>(nameof(GrantMapArgument.DeviceBusAddress)));
        Assert.Equal(24, Unsafe.SizeOf<GrantUnmapArgument>());
        Assert.Equal(GrantUnmapArgument.StatusOffset, Offset<GrantUnmapArgument>(nameof(GrantUnmapArgument.Status)));
        Assert.Equal(24, Unsafe.SizeOf<GrantUnmapAndReplaceArgument>());
        Assert.Equal(20, Offset<GrantUnmapAndReplaceArgument>(nameof(GrantUnmapAndReplaceArgument.Status)));
        Assert.Equal(24, Unsafe.SizeOf<GrantSetupArgument>());
        Assert.Equal(GrantSetupArgument.StatusOffset, Offset<GrantSetupArgument>(nameof(GrantSetupArgument.Status)));
        Assert.Equal(16, Offset<GrantSetupArgument>(nameof(GrantSetupArgument.FrameList)));
        Assert.Equal(16, Unsafe.SizeOf<GrantStatusFramesArgument>());
        Assert.Equal(GrantStatusFramesArgument.StatusOffset, Offset<GrantStatusFramesArgument>(nameof(GrantStatusFramesArgument.Status)));
        Assert.Equal(8, Offset<GrantStatusFramesArgument>(nameof(GrantStatusFramesArgument.FrameList)));
        Assert.Equal(16, Unsafe.SizeOf<GrantQuerySizeArgument>());
        Assert.Equal(12, Offset<GrantQuerySizeArgument>(nameof(GrantQuerySizeArgument.Status)));
        Assert.Equal(24, Unsafe.SizeOf<GrantTransferArgument>());
        Assert.Equal(GrantTransferArgument.StatusOffset, Offset<GrantTransferArgument>(nameof(GrantTransferArgument.Status)));
        Assert.Equal(12, Offset<GrantTransferArgument>(nameof(GrantTransferArgument.Reference)));
        Assert.Equal(40, Unsafe.SizeOf<GrantCopyArgument>());
        Assert.Equal(GrantCopyArgument.StatusOffset, Offset<GrantCopyArgument>(nameof(GrantCopyArgument.Status)));
        Assert.Equal(16, Offset<GrantCopyArgument>(nameof(GrantCopyArgument.Destination)));
        Assert.Equal(32, Offset<GrantCopyArgument>(nameof(GrantCopyArgument.Length)));
        Assert.Equal(8, Unsafe.SizeOf<GrantVersionArgument>());
        Assert.Equal(GrantVersionArgument.VersionOffset, Offset<GrantVersionArgument>(nameof(GrantVersionArgument.Version)));
        Assert.Equal(12, Unsafe.SizeOf<GrantSwapArgument>());
        Assert.Equal(GrantSwapArgument.StatusOffset, Offset<GrantSwapArgument>(nameof(GrantSwapArgument.Status)));
        Assert.Equal(16, Unsafe.SizeOf<GrantCacheFlushArgument>());
        Assert.Equal(12, Offset<GrantCacheFlushArgument>(nameof(GrantCacheFlushArgument.Operation)));
    }

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);
}
