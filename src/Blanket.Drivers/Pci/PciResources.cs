namespace Blanket.Drivers.Pci;

/// <summary>
/// Addresses for BARs that have none. What other functions and bridges use is read from their registers first, so that
/// firmware that assigned a part is no trouble.
/// </summary>
public sealed class PciResources
{
    private const int MaximumRanges = 1024;
    private const ulong BridgeGranularity = 1 << 20;
    private const ulong BridgeWindow = 2 << 20;

    private readonly PciConfiguration _configuration;
    private readonly PciScan _scan;
    private readonly Range[] _used = new Range[MaximumRanges];
    private int _usedCount;

    private struct Range
    {
        public ulong Start;
        public ulong End;
        public bool IsIo;
    }

    /// <summary>Reads what is in use from every function of a scan; turns their decoding off for the moment it takes.</summary>
    public PciResources(PciConfiguration configuration, PciScan scan)
    {
        _configuration = configuration;
        _scan = scan;
        for (int i = 0; i < scan.Count; i++)
        {
            PciAddress function = scan[i];
            if (PciScan.IsBridge(configuration, function) && TryGetBridgeMemory(function, out PciWindow window))
            {
                // Devices behind the bridge are in here; nothing on bus 0 may be.
                Reserve(window.Start, window.End, false);
            }

            ReserveBars(function);
        }
    }

    /// <summary>Finds an address for a BAR of a function.</summary>
    /// <returns>False when there is no room in the windows that lead to the function's bus.</returns>
    public bool TryAllocate(PciAddress function, in PciBar bar, out ulong address)
    {
        address = 0;
        if (_scan.TryGetBridge(function.Bus, out PciAddress bridge))
        {
            // No ports behind bridges: no device that is driven needs them.
            return !bar.IsIo && TryGetOrOpenBridge(bridge, out PciWindow behind)
                && TryPlaceBehind(behind, bar.Length, out address);
        }

        PciWindows windows = _configuration.Windows;
        if (bar.IsIo)
        {
            return TryPlace(windows.Io, bar.Length, true, out address);
        }

        return (bar.Is64 && TryPlace(windows.Memory64, bar.Length, false, out address))
            || TryPlace(windows.Memory, bar.Length, false, out address);
    }

    private bool TryPlace(PciWindow window, ulong length, bool isIo, out ulong address) =>
        TryPlace(window, length, isIo, 0, out address);

    // Bridge windows are themselves ranges in use: only ranges smaller than the window are obstacles inside it.
    private bool TryPlaceBehind(PciWindow window, ulong length, out ulong address) =>
        TryPlace(window, length, false, window.End - window.Start, out address);

    private bool TryPlace(PciWindow window, ulong length, bool isIo, ulong enclosing, out ulong address)
    {
        address = window.Start == 0 ? length : AlignUp(window.Start, length);
        bool moved = true;
        while (moved)
        {
            if (address < window.Start || address >= window.End || length > window.End - address)
            {
                return false;
            }

            moved = false;
            for (int i = 0; i < _usedCount && !moved; i++)
            {
                ref Range range = ref _used[i];
                bool isObstacle = range.IsIo == isIo && (enclosing == 0 || range.End - range.Start != enclosing || range.Start != window.Start);
                if (isObstacle && range.Start < address + length && address < range.End)
                {
                    address = AlignUp(range.End, length);
                    moved = true;
                }
            }
        }

        return Reserve(address, address + length, isIo);
    }

    private static ulong AlignUp(ulong value, ulong alignment) =>
        value > ulong.MaxValue - alignment ? ulong.MaxValue : (value + (alignment - 1)) & ~(alignment - 1);

    private bool Reserve(ulong start, ulong end, bool isIo)
    {
        if (_usedCount == MaximumRanges || end < start)
        {
            return false;
        }

        _used[_usedCount++] = new Range { Start = start, End = end, IsIo = isIo };
        return true;
    }

    private void ReserveBars(PciAddress function)
    {
        PciBar[] bars = PciFunction.CreateBars(_configuration, function);
        for (int i = 0; i < bars.Length; i++)
        {
            if (bars[i].Length != 0 && bars[i].Address != 0)
            {
                Reserve(bars[i].Address, bars[i].Address + bars[i].Length, bars[i].IsIo);
            }
        }
    }

    private bool TryGetBridgeMemory(PciAddress bridge, out PciWindow window)
    {
        ulong start = (ulong)(_configuration.Read16(bridge, PciRegister.MemoryBase) & 0xfff0) << 16;
        ulong last = ((ulong)(_configuration.Read16(bridge, PciRegister.MemoryLimit) & 0xfff0) << 16) | (BridgeGranularity - 1);
        window = new PciWindow(start, last + 1);
        return start != 0 && start <= last;
    }

    private bool TryGetOrOpenBridge(PciAddress bridge, out PciWindow window)
    {
        if (TryGetBridgeMemory(bridge, out window))
        {
            return true;
        }

        if (bridge.Bus != 0 || !TryPlace(_configuration.Windows.Memory, BridgeWindow, false, out ulong start))
        {
            return false;
        }

        window = new PciWindow(start, start + BridgeWindow);
        _configuration.Write16(bridge, PciRegister.MemoryBase, (ushort)(start >> 16));
        _configuration.Write16(bridge, PciRegister.MemoryLimit, (ushort)((window.End - BridgeGranularity) >> 16));
        // An empty prefetchable window: its base above its limit.
        _configuration.Write16(bridge, PciRegister.PrefetchableBase, 0xfff0);
        _configuration.Write16(bridge, PciRegister.PrefetchableLimit, 0);
        ushort command = _configuration.Read16(bridge, PciRegister.Command);
        _configuration.Write16(bridge, PciRegister.Command, (ushort)(command | PciCommand.MemorySpace | PciCommand.BusMaster));
        return true;
    }
}
