using System;

namespace Blanket.Drivers;

/// <summary>The devices that were found, in the order of discovery. Filled at boot; console ports may join later.</summary>
public sealed class DeviceCollection
{
    /// <summary>The most disks.</summary>
    public const int MaximumDisks = 256;

    /// <summary>The most network interfaces.</summary>
    public const int MaximumNetworks = 32;

    /// <summary>The most console ports.</summary>
    public const int MaximumConsoles = 256;

    /// <summary>The most entropy sources.</summary>
    public const int MaximumEntropySources = 4;

    private readonly BlockDevice?[] _disks = new BlockDevice?[MaximumDisks];
    private readonly NetworkDevice?[] _networks = new NetworkDevice?[MaximumNetworks];
    private readonly ConsolePort?[] _consoles = new ConsolePort?[MaximumConsoles];
    private readonly EntropySource?[] _entropySources = new EntropySource?[MaximumEntropySources];
    private int _diskCount;
    private int _networkCount;
    private int _consoleCount;
    private int _entropySourceCount;

    /// <summary>Disks that were found.</summary>
    public int DiskCount => _diskCount;

    /// <summary>Network interfaces that were found.</summary>
    public int NetworkCount => _networkCount;

    /// <summary>Console ports that were found; grows when L0 adds a port.</summary>
    public int ConsoleCount => _consoleCount;

    /// <summary>Entropy sources that were found.</summary>
    public int EntropySourceCount => _entropySourceCount;

    /// <summary>A disk by its place in the order of discovery.</summary>
    public BlockDevice Disk(int index) => _disks[index]!;

    /// <summary>A network interface by its place in the order of discovery.</summary>
    public NetworkDevice Network(int index) => _networks[index]!;

    /// <summary>A console port by its place in the order of discovery.</summary>
    public ConsolePort Console(int index) => _consoles[index]!;

    /// <summary>An entropy source by its place in the order of discovery.</summary>
    public EntropySource Entropy(int index) => _entropySources[index]!;

    /// <summary>The console port of that name; null when there is none.</summary>
    public ConsolePort? FindConsole(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < _consoleCount; i++)
        {
            if (_consoles[i]!.Name.SequenceEqual(name))
            {
                return _consoles[i];
            }
        }

        return null;
    }

    /// <summary>The disk of that serial; null when there is none.</summary>
    public BlockDevice? FindDisk(ReadOnlySpan<byte> serial)
    {
        for (int i = 0; i < _diskCount; i++)
        {
            if (_disks[i]!.Serial.SequenceEqual(serial))
            {
                return _disks[i];
            }
        }

        return null;
    }

    /// <summary>Adds a disk; false when there are too many.</summary>
    public bool TryAdd(BlockDevice disk)
    {
        if (_diskCount == MaximumDisks)
        {
            return false;
        }

        _disks[_diskCount++] = disk;
        return true;
    }

    /// <summary>Adds a network interface; false when there are too many.</summary>
    public bool TryAdd(NetworkDevice network)
    {
        if (_networkCount == MaximumNetworks)
        {
            return false;
        }

        _networks[_networkCount++] = network;
        return true;
    }

    /// <summary>Adds a console port; false when there are too many.</summary>
    public bool TryAdd(ConsolePort console)
    {
        if (_consoleCount == MaximumConsoles)
        {
            return false;
        }

        _consoles[_consoleCount++] = console;
        return true;
    }

    /// <summary>Adds an entropy source; false when there are too many.</summary>
    public bool TryAdd(EntropySource source)
    {
        if (_entropySourceCount == MaximumEntropySources)
        {
            return false;
        }

        _entropySources[_entropySourceCount++] = source;
        return true;
    }
}
