using System;
using System.Text;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

/// <summary>Writes boot loaders' structures into simulated memory.</summary>
internal static class BootStructures
{
    internal const int SimulatedFrames = 256;
    internal const ulong Information = 0x1000;
    internal const ulong Map = 0x3000;
    internal const ulong ModuleList = 0x8000;
    internal const ulong CommandLine = 0x9000;

    internal static void Put(ulong address, ReadOnlySpan<byte> bytes) => bytes.CopyTo(PhysicalMemory.Bytes(address, bytes.Length));

    internal static void Put(ulong address, string text) => Put(address, Encoding.ASCII.GetBytes(text + "\0"));

    internal static void Put32(ulong address, uint value) => PhysicalMemory.Write(address, value);

    internal static void Put64(ulong address, ulong value) => PhysicalMemory.Write(address, value);

    internal static void PutMapEntry(ulong address, ulong start, ulong length, uint type)
    {
        Put64(address, start);
        Put64(address + 8, length);
        Put32(address + 16, type);
    }

    /// <summary>struct hvm_start_info with one module, a command line and the given memory map.</summary>
    internal static void PutPvh(params (ulong Start, ulong Length, uint Type)[] map)
    {
        Put32(Information, 0x336ec578);
        Put32(Information + 4, 1);
        Put32(Information + 8, 0);
        Put32(Information + 12, 1);
        Put64(Information + 16, ModuleList);
        Put64(Information + 24, CommandLine);
        Put64(Information + 32, 0xf5a00);
        Put64(Information + 40, Map);
        Put32(Information + 48, (uint)map.Length);
        for (int i = 0; i < map.Length; i++)
        {
            PutMapEntry(Map + (ulong)i * 24, map[i].Start, map[i].Length, map[i].Type);
        }

        Put64(ModuleList, 0x40000);
        Put64(ModuleList + 8, 0x2345);
        Put(CommandLine, "console=com1 loglevel=3");
    }
}

/// <summary>Builds a multiboot2 information structure tag by tag.</summary>
internal sealed class Multiboot2Builder
{
    private ulong _end = BootStructures.Information + 8;

    internal ulong Tag(uint type, ReadOnlySpan<byte> content)
    {
        ulong tag = _end;
        BootStructures.Put32(tag, type);
        BootStructures.Put32(tag + 4, (uint)content.Length + 8);
        BootStructures.Put(tag + 8, content);
        _end += ((ulong)content.Length + 8 + 7) & ~7UL;
        return tag;
    }

    internal ulong MemoryMap(params (ulong Start, ulong Length, uint Type)[] map)
    {
        ulong tag = Tag(6, new byte[8 + map.Length * 24]);
        BootStructures.Put32(tag + 8, 24);
        for (int i = 0; i < map.Length; i++)
        {
            BootStructures.PutMapEntry(tag + 16 + (ulong)i * 24, map[i].Start, map[i].Length, map[i].Type);
        }

        return tag;
    }

    internal void Module(uint start, uint end)
    {
        ulong tag = Tag(3, new byte[8 + 4]);
        BootStructures.Put32(tag + 8, start);
        BootStructures.Put32(tag + 12, end);
    }

    internal void Finish()
    {
        Tag(0, []);
        BootStructures.Put32(BootStructures.Information, (uint)(_end - BootStructures.Information));
        BootStructures.Put32(BootStructures.Information + 4, 0);
    }
}
