using System;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>HYPERVISOR_xen_version (xen/include/public/version.h): Xen 4.17, as far as the interface goes.</summary>
public static class XenVersionHypercall
{
    private const uint Version = 0;
    private const uint ExtraVersion = 1;
    private const uint CompileInfo = 2;
    private const uint Capabilities = 3;
    private const uint Changeset = 4;
    private const uint PlatformParameters = 5;
    private const uint GetFeatures = 6;
    private const uint PageSizeQuery = 7;
    private const uint GuestHandle = 8;
    private const uint CommandLine = 9;
    private const uint BuildId = 10;

    private const int ExtraVersionLength = 16;
    private const int CapabilitiesLength = 1024;
    private const int ChangesetLength = 64;
    private const int CompilerLength = 64;
    private const int CompileByLength = 16;
    private const int CompileDomainLength = 32;
    private const int CompileDateLength = 32;

    /// <summary>
    /// What every 64-bit PV guest that is not a control domain is told; whoever knows machine frame numbers counts as directly mapped.
    /// </summary>
    private const uint Features = (1U << Feature.MmuPtUpdatePreserveAd) | (1U << Feature.HighmemAssist)
        | (1U << Feature.GrantMapAvailableBits) | (1U << Feature.MemoryOpVnodeSupported) | (1U << Feature.DirectMapped);

    private struct FeatureInfo
    {
        public uint Submap;
        public uint Bits;
    }

    /// <summary>A1 sub-operation, A2 guest address of its argument.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        ulong argument = arguments.A2;
        switch ((uint)arguments.A1)
        {
            case Version:
                return (ReportedVersion.Major << 16) | ReportedVersion.Minor;
            case ExtraVersion:
                return WriteText(argument, ".0-blanket"u8, ExtraVersionLength);
            case CompileInfo:
                return WriteCompileInfo(argument);
            case Capabilities:
                return WriteText(argument, "xen-3.0-x86_64 "u8, CapabilitiesLength);
            case Changeset:
                return WriteText(argument, "unavailable"u8, ChangesetLength);
            case PlatformParameters:
                ulong start = AddressSpace.HypervisorStart;
                return GuestMemory.TryWrite(argument, in start) ? 0 : -Errno.EFAULT;
            case GetFeatures:
                return WriteFeatures(caller, argument);
            case PageSizeQuery:
                return argument != 0 ? -Errno.EINVAL : Cpu.PageSize;
            case GuestHandle:
                return GuestMemory.TryWrite(argument, (ReadOnlySpan<byte>)caller.Domain.Uuid) ? 0 : -Errno.EFAULT;
            case CommandLine:
                // As Xen's default policy does for guests that are not privileged: the text and its NUL, no more.
                return GuestMemory.TryWrite(argument, "<denied>\0"u8) ? 0 : -Errno.EFAULT;
            case BuildId:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long WriteFeatures(Vcpu caller, ulong argument)
    {
        if (!GuestMemory.TryRead(argument, out FeatureInfo info))
        {
            return -Errno.EFAULT;
        }

        if (info.Submap >= Feature.Submaps)
        {
            return -Errno.EINVAL;
        }

        info.Bits = Features
            | (caller.Domain.HasVmAssist(MmuVmAssist.PaeExtendedCr3) ? 1U << Feature.PaePgdirAbove4Gb : 0);
        return GuestMemory.TryWrite(argument, in info) ? 0 : -Errno.EFAULT;
    }

    private static long WriteCompileInfo(ulong argument)
    {
        long result = WriteText(argument, "ilc"u8, CompilerLength);
        argument = unchecked(argument + CompilerLength);
        result |= WriteText(argument, "blanket"u8, CompileByLength);
        argument = unchecked(argument + CompileByLength);
        result |= WriteText(argument, ""u8, CompileDomainLength);
        argument = unchecked(argument + CompileDomainLength);
        result |= WriteText(argument, ""u8, CompileDateLength);
        return result == 0 ? 0 : -Errno.EFAULT;
    }

    /// <summary>Writes a field of a fixed length, padded with zeroes: nothing of the hypervisor's stack goes with it.</summary>
    private static long WriteText(ulong address, ReadOnlySpan<byte> text, int fieldLength)
    {
        Span<byte> field = stackalloc byte[fieldLength];
        field.Clear();
        text.CopyTo(field);
        return GuestMemory.TryWrite(address, field) ? 0 : -Errno.EFAULT;
    }
}
