using System;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Fills start_info of a new domain and masks its events in shared_info (xen.h, "Start-of-day").</summary>
internal static class StartInfoPage
{
    // XEN_LEGACY_MAX_VCPUS entries of struct vcpu_info, 64 bytes each, start shared_info; evtchn_upcall_mask is the second byte.
    private const int VcpuInfoCount = 32;
    private const int VcpuInfoSize = 64;
    private const int UpcallMaskOffset = 1;

    /// <summary>Writes start_info.</summary>
    internal static void Write(in BuildRequest request, ulong sharedInfoFrame, in DomainLayout layout, in DomainPages pages)
    {
        StartInfo info = default;
        "xen-3.0-x86_64"u8.CopyTo(info.Magic);
        info.PageCount = request.Pages;
        info.SharedInfo = sharedInfoFrame << Cpu.PageShift;
        info.Flags = StartInfo.VirtualP2MForTools;
        info.StoreFrame = pages.Frame(layout.StorePfn);
        info.StorePort = request.StorePort;
        info.ConsoleFrame = pages.Frame(layout.ConsolePfn);
        info.ConsolePort = request.ConsolePort;
        info.PageTableBase = unchecked(layout.VirtualBase + (layout.RootPfn << Cpu.PageShift));
        info.PageTableFrames = layout.PageTablePages;
        info.P2MList = layout.P2MAddress;
        request.CommandLine.CopyTo(info.CommandLine);
        if (layout.P2MIsApart)
        {
            info.FirstP2MPfn = layout.P2MPfn;
            info.P2MFrames = layout.P2MRegionPages;
        }

        if (!request.Ramdisk.IsEmpty)
        {
            info.ModuleLength = (ulong)request.Ramdisk.Length;
            info.ModuleStart = layout.RamdiskIsMapped
                ? unchecked(layout.VirtualBase + (layout.RamdiskPfn << Cpu.PageShift))
                : layout.RamdiskPfn;
            info.Flags |= layout.RamdiskIsMapped ? 0 : StartInfo.ModuleStartIsPfn;
        }

        pages.WriteValue(layout.StartInfoPfn << Cpu.PageShift, info);
    }

    /// <summary>Every vCPU starts with events masked; the page was zeroed when it was allocated.</summary>
    internal static void MaskEvents(ulong sharedInfoFrame)
    {
        Span<byte> page = PhysicalMemory.Frame(sharedInfoFrame);
        for (int i = 0; i < VcpuInfoCount; i++)
        {
            page[i * VcpuInfoSize + UpcallMaskOffset] = 1;
        }
    }
}
