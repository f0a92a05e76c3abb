using Blanket.Kernel.Boot;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>Brings memory up: final page tables, frame records, the frame allocator, the boot arena.</summary>
public static class Memory
{
    /// <summary>Linear address of the frame records; L4 slot 260.</summary>
    public const ulong FrameTableBase = 0xffff820000000000;

    private const ulong BootMapEnd = 1UL << 32;
    private const ulong LowMemoryEnd = 1UL << 20;
    private const ulong RealModeEnd = 0xa0000;
    private const ulong FrameInfoSize = 32;
    private const ulong MachineToPhysicalEntrySize = 8;
    private const int FramesPerMegabyteShift = 20 - Cpu.PageShift;

    private static MemoryRanges s_usable;
    private static MemoryRanges s_modules;

    /// <summary>The arena of everything that lives as long as the hypervisor.</summary>
    public static Arena BootArena { get; private set; } = null!;

    /// <summary>The arena of what is made when there are more guests at once than before, and serves later guests.</summary>
    public static Arena PlaceArena { get; private set; } = null!;

    /// <summary>Physical address of the machine-to-physical table: 2 MiB aligned, contiguous, contents undefined at first.</summary>
    public static ulong MachineToPhysicalAddress { get; private set; }

    /// <summary>Entries of the machine-to-physical table: one for every frame number below the end of memory.</summary>
    public static ulong MachineToPhysicalEntries => FrameTable.Limit;

    /// <summary>Frames of usable memory in the machine, whoever has them.</summary>
    public static ulong UsableFrames => s_usable.TotalLength >> Cpu.PageShift;

    /// <summary>A frame below 640 KiB for the code that other CPUs start with; 0 when there is none.</summary>
    public static ulong TrampolineFrame { get; private set; }

    /// <summary>First thing at boot: memory below 4 GiB can be read, 'new' works for the few objects that come before the rest.</summary>
    /// <returns>False when the image was made by a compiler that it was not written for.</returns>
    public static bool InitializeEarly()
    {
        PhysicalMemory.Initialize(unchecked((nuint)AddressSpace.DirectMapBase), BootMapEnd);
        return EarlyMemory.Enter();
    }

    /// <summary>
    /// Builds the hypervisor's address space, switches to it, and gives memory that is free to the frame allocator.
    /// Afterwards 'new' is directed to <see cref="BootArena"/>; its Leave ends that. Boot CPU only, once.
    /// </summary>
    /// <returns>False when there is too little memory.</returns>
    public static bool Initialize(in BootInformation information, bool hasHugePages, int cpus)
    {
        // Firmware's tables lie outside of usable memory, which is all that is mapped from here on.
        AcpiInformation.Read(information.RootPointer);
        ChooseMemory(in information);
        if (!TryBuildAddressSpace(hasHugePages, out ulong root))
        {
            return false;
        }

        Cpu.WriteCr3(root << Cpu.PageShift);
        PhysicalMemory.Initialize(unchecked((nuint)AddressSpace.DirectMapBase), s_usable.End);
        if (!TryBuildTables(root, cpus))
        {
            return false;
        }

        FrameTable.Initialize(unchecked((nuint)FrameTableBase), s_usable.End >> Cpu.PageShift);
        HypervisorRoot.Initialize(root);
        DeviceMapping.Initialize();
        FillAllocator();
        Log.Line("memory: "u8).Decimal(UsableFrames >> FramesPerMegabyteShift).Text(" MiB, "u8)
            .Decimal(FrameAllocator.FreeFrames >> FramesPerMegabyteShift).Text(" MiB free, boot bundle "u8)
            .Decimal(information.Bundle.Length >> 10).Text(" KiB"u8).End();
        EnterBootArena();
        return true;
    }

    /// <summary>Frames that are the hypervisor's and what firmware leaves it: neither free nor the boot bundle's nor the guests'.</summary>
    /// <param name="guestFrames">Frames of all guests.</param>
    public static ulong LayerFrames(ulong guestFrames) =>
        UsableFrames - FrameAllocator.FreeFrames - (s_modules.TotalLength >> Cpu.PageShift) - guestFrames;

    /// <summary>The boot bundle is no longer needed: its memory becomes free.</summary>
    public static void ReleaseModules()
    {
        for (int i = 0; i < s_modules.Count; i++)
        {
            FrameAllocator.AddRange(s_modules[i].Start >> Cpu.PageShift, s_modules[i].Length >> Cpu.PageShift);
        }

        s_modules.Clear();
    }

    /// <summary>Takes away the last way to write to the image's code and constants; when all code is patched and all CPUs are up.</summary>
    public static void SealImage() => DirectMap.SealImage(HypervisorRoot.Frame);

    /// <summary>Decides what memory is used at all, and what of it is free.</summary>
    internal static void ChooseMemory(in BootInformation information)
    {
        PhysicalRange image = new(ImageLayout.Start, ImageLayout.End);
        if (information.IsMapTruncated)
        {
            Log.Line("memory: firmware's map has too many pieces; some memory stays unused"u8).End();
        }

        s_usable = information.Usable;
        s_usable.Remove(new PhysicalRange(DirectMap.MaximumAddress, PhysicalRange.AddressLimit));
        DropMemoryThatCostsTooMuch();

        // The loader put the image there, whatever the map says.
        s_usable.TryAdd(image);

        BootFrames.Reset(in s_usable);
        ref MemoryRanges free = ref BootFrames.Free;
        free.Remove(new PhysicalRange(0, LowMemoryEnd));
        free.Remove(image);

        // What of the module's pages is really taken away here comes back at its release.
        s_modules = free;
        free.Remove(information.Bundle.TouchedPages());
        s_modules.Remove(in free);
        ChooseTrampoline();
    }

    // The machine-to-physical table covers holes too. A small piece of memory far up is not worth a table that reaches there.
    private static void DropMemoryThatCostsTooMuch()
    {
        const ulong FramesPerEntryFrame = Cpu.PageSize / MachineToPhysicalEntrySize;
        while (s_usable.Count > 1 && s_usable.End / FramesPerEntryFrame > s_usable.TotalLength / 8)
        {
            PhysicalRange highest = s_usable[s_usable.Count - 1];
            Log.Line("memory: left out what is at "u8).Hex(highest.Start).Text(" up to "u8).Hex(highest.End).End();
            s_usable.Remove(highest);
        }
    }

    private static void ChooseTrampoline()
    {
        MemoryRanges low = s_usable;
        low.Remove(new PhysicalRange(0, Cpu.PageSize));
        TrampolineFrame = low.TryTake(Cpu.PageSize, Cpu.PageSize, RealModeEnd, out ulong address) ? address >> Cpu.PageShift : 0;
    }

    /// <summary>The image and all of memory: what is needed to leave the boot page tables.</summary>
    internal static bool TryBuildAddressSpace(bool hasHugePages, out ulong root) =>
        BootFrames.TryTakeTable(out root)
        && ImageMapping.TryBuild(root)
        && DirectMap.TryBuild(root, in s_usable, new PhysicalRange(ImageLayout.Start, ImageLayout.ReadOnlyEnd), hasHugePages);

    /// <summary>What needs the final direct map: tables sized by memory, and the tables of the windows.</summary>
    internal static bool TryBuildTables(ulong root, int cpus)
    {
        SparseTable frames = new(root, FrameTableBase);
        return TryBuildMachineToPhysical(root)
            && frames.TryBuild(in s_usable, FrameInfoSize)
            && DescriptorWindow.TryInitialize(root, cpus)
            && PageTables.TryFindTable(root, AddressSpace.DeviceBase, 3, PageFlags.Table, out _);
    }

    private static bool TryBuildMachineToPhysical(ulong root)
    {
        ulong length = (s_usable.End >> Cpu.PageShift) * MachineToPhysicalEntrySize;
        PhysicalRange table = new PhysicalRange(0, length).TouchedPages();
        if (!BootFrames.Free.TryTake(table.Length, PageFlags.LargeSize, PhysicalMemory.Limit, out ulong start))
        {
            Log.Line("memory: no room for the machine-to-physical table of "u8).Decimal(table.Length).Text(" bytes"u8).End();
            return false;
        }

        MachineToPhysicalAddress = start;
        ulong large = table.Length & ~(PageFlags.LargeSize - 1);
        return MapForGuests(root, start, 0, large, 2) && MapForGuests(root, start, large, table.Length, 1);
    }

    private static bool MapForGuests(ulong root, ulong start, ulong from, ulong to, int level)
    {
        PhysicalRange part = new(start + from, start + to);
        return PageTables.TryMap(
            root, AddressSpace.MachineToPhysicalBase + from, part, level, PageFlags.GuestReadable, PageFlags.GuestReadableTable);
    }

    private static void FillAllocator()
    {
        MemoryRanges free = BootFrames.Free;
        MemoryRanges held = s_usable;
        held.Remove(in free);
        for (int i = 0; i < held.Count; i++)
        {
            for (ulong frame = held[i].Start >> Cpu.PageShift; frame < held[i].End >> Cpu.PageShift; frame++)
            {
                FrameTable.Of(frame).State = FrameState.Hypervisor;
            }
        }

        FrameAllocator.Initialize();
        for (int i = 0; i < free.Count; i++)
        {
            FrameAllocator.AddRange(free[i].Start >> Cpu.PageShift, free[i].Length >> Cpu.PageShift);
        }

        BootFrames.HandOver();
    }

    private static void EnterBootArena()
    {
        Arena.InitializeLock();
        BootArena = new Arena();
        PlaceArena = new Arena { IsTable = true };
        EarlyMemory.Leave();
        BootArena.Enter();
    }
}
