using System;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Building;

/// <summary>A checked view of a 64-bit x86 ELF file. The file is hostile: every access says whether it was inside.</summary>
public readonly ref struct ElfImage
{
    // Sizes of the packed ELF structures; a file may declare larger entries, never smaller ones.
    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const int SectionHeaderSize = 64;

    private readonly ReadOnlySpan<byte> _file;
    private readonly Elf64Header _header;

    private ElfImage(ReadOnlySpan<byte> file, scoped in Elf64Header header)
    {
        _file = file;
        _header = header;
    }

    /// <summary>e_entry.</summary>
    public ulong Entry => _header.Entry;

    /// <summary>Number of program headers; each is read by <see cref="TryGetSegment"/>.</summary>
    public int SegmentCount => _header.ProgramHeaderCount;

    /// <summary>Number of section headers; each is read by <see cref="TryGetSection"/>.</summary>
    public int SectionCount => _header.SectionHeaderCount;

    /// <summary>Checks the file header and that both header tables are inside the file.</summary>
    public static BuildStatus Open(ReadOnlySpan<byte> file, out ElfImage image)
    {
        image = default;
        if (file.Length < HeaderSize)
        {
            return BuildStatus.NotElf64;
        }

        Elf64Header header = MemoryMarshal.Read<Elf64Header>(file);
        if (header.Magic != Elf64.Magic || header.Class != Elf64.Class64 || header.Encoding != Elf64.LittleEndian
            || header.Machine != Elf64.MachineX8664)
        {
            return BuildStatus.NotElf64;
        }

        ElfImage candidate = new(file, header);
        if ((header.ProgramHeaderCount != 0 && header.ProgramHeaderSize < ProgramHeaderSize)
            || (header.SectionHeaderCount != 0 && header.SectionHeaderSize < SectionHeaderSize)
            || !candidate.IsInside(header.ProgramHeaderOffset, (ulong)header.ProgramHeaderCount * header.ProgramHeaderSize)
            || !candidate.IsInside(header.SectionHeaderOffset, (ulong)header.SectionHeaderCount * header.SectionHeaderSize))
        {
            return BuildStatus.BrokenElf;
        }

        image = candidate;
        return BuildStatus.Ok;
    }

    /// <summary>A program header, 0 to <see cref="SegmentCount"/> - 1.</summary>
    public bool TryGetSegment(int index, out Elf64ProgramHeader segment)
    {
        segment = default;
        if ((uint)index >= _header.ProgramHeaderCount
            || !TryGetBytes(_header.ProgramHeaderOffset + (ulong)((long)index * _header.ProgramHeaderSize), ProgramHeaderSize, out ReadOnlySpan<byte> bytes))
        {
            return false;
        }

        segment = MemoryMarshal.Read<Elf64ProgramHeader>(bytes);
        return true;
    }

    /// <summary>A section header, 0 to <see cref="SectionCount"/> - 1.</summary>
    public bool TryGetSection(int index, out Elf64SectionHeader section)
    {
        section = default;
        if ((uint)index >= _header.SectionHeaderCount
            || !TryGetBytes(_header.SectionHeaderOffset + (ulong)((long)index * _header.SectionHeaderSize), SectionHeaderSize, out ReadOnlySpan<byte> bytes))
        {
            return false;
        }

        section = MemoryMarshal.Read<Elf64SectionHeader>(bytes);
        return true;
    }

    /// <summary>The first section of a name; false when there is none.</summary>
    public bool TryFindSection(ReadOnlySpan<byte> name, out Elf64SectionHeader section)
    {
        section = default;
        if (!TryGetSection(_header.SectionNames, out Elf64SectionHeader strings)
            || !TryGetBytes(strings.Offset, strings.Size, out ReadOnlySpan<byte> names))
        {
            return false;
        }

        for (int i = 1; i < SectionCount; i++)
        {
            if (TryGetSection(i, out section) && section.Name < (ulong)names.Length
                && HasText(names.Slice((int)section.Name), name))
            {
                return true;
            }
        }

        section = default;
        return false;
    }

    /// <summary>Bytes of the file; false when a part of the range is outside it.</summary>
    public bool TryGetBytes(ulong offset, ulong length, out ReadOnlySpan<byte> bytes)
    {
        if (!IsInside(offset, length))
        {
            bytes = default;
            return false;
        }

        bytes = _file.Slice((int)offset, (int)length);
        return true;
    }

    /// <summary>Whether this is a segment to load: PT_LOAD with any access.</summary>
    public static bool IsLoadable(in Elf64ProgramHeader segment) =>
        segment.Type == Elf64.ProgramLoad && (segment.Flags & Elf64.ProgramAccessMask) != 0;

    private bool IsInside(ulong offset, ulong length) =>
        offset <= (ulong)_file.Length && length <= (ulong)_file.Length - offset;

    // Text in a string table ends with NUL.
    private static bool HasText(ReadOnlySpan<byte> strings, ReadOnlySpan<byte> text) =>
        strings.StartsWith(text) && strings.Length > text.Length && strings[text.Length] == 0;
}
