using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Blanket.Lab.Kernels;

/// <summary>A segment of an ELF file.</summary>
/// <param name="Type">p_type.</param>
/// <param name="Offset">Offset in the file.</param>
/// <param name="Address">p_vaddr.</param>
/// <param name="FileSize">Bytes in the file.</param>
/// <param name="MemorySize">Bytes in memory.</param>
public readonly record struct ElfSegment(uint Type, ulong Offset, ulong Address, ulong FileSize, ulong MemorySize);

/// <summary>A section of an ELF file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">sh_type.</param>
/// <param name="Offset">Offset in the file.</param>
/// <param name="Size">Bytes in the file unless the type is SHT_NOBITS.</param>
public readonly record struct ElfSection(string Name, uint Type, ulong Offset, ulong Size);

/// <summary>A note of an ELF file.</summary>
/// <param name="Owner">Its name.</param>
/// <param name="Type">Its type; the meaning depends on the owner.</param>
/// <param name="Content">The descriptor.</param>
public sealed record ElfNote(string Owner, uint Type, byte[] Content);

/// <summary>A 64-bit little-endian ELF file for x86-64, with bounds checked.</summary>
public sealed class ElfFile
{
    /// <summary>p_type of a segment that is loaded.</summary>
    public const uint LoadSegment = 1;

    private const uint NoteSegment = 4;
    private const uint NoteSection = 7;
    private const uint NoBitsSection = 8;
    private const int HeaderSize = 64;
    private const int SegmentEntrySize = 56;
    private const int SectionEntrySize = 64;
    private const byte Class64 = 2;
    private const byte LittleEndian = 1;
    private const ushort MachineX64 = 62;
    private const int NoteHeaderSize = 12;

    private readonly ReadOnlyMemory<byte> _file;

    private ElfFile(ReadOnlyMemory<byte> file)
    {
        _file = file;
        Segments = ReadSegments();
        Sections = ReadSections();
    }

    /// <summary>e_type: 1 relocatable, 2 executable, 3 shared.</summary>
    public ushort Type => BinaryPrimitives.ReadUInt16LittleEndian(_file.Span[16..]);

    /// <summary>e_entry.</summary>
    public ulong Entry => BinaryPrimitives.ReadUInt64LittleEndian(_file.Span[24..]);

    /// <summary>The segments in their order.</summary>
    public IReadOnlyList<ElfSegment> Segments { get; }

    /// <summary>The sections in their order.</summary>
    public IReadOnlyList<ElfSection> Sections { get; }

    /// <summary>Whether content starts as an ELF file does.</summary>
    public static bool HasMagic(ReadOnlySpan<byte> content) => content.StartsWith("\u007FELF"u8);

    /// <summary>Reads the tables of a file.</summary>
    /// <exception cref="KernelException">Not such a file, or damaged.</exception>
    public static ElfFile Parse(ReadOnlyMemory<byte> file)
    {
        ReadOnlySpan<byte> header = file.Span;
        if (!HasMagic(header) || header.Length < HeaderSize)
        {
            throw new KernelException("is not an ELF file");
        }

        bool isX64 = header[4] == Class64 && header[5] == LittleEndian && BinaryPrimitives.ReadUInt16LittleEndian(header[18..]) == MachineX64;
        return isX64 ? new ElfFile(file) : throw new KernelException("is an ELF file for another machine, expected 64-bit x86-64");
    }

    /// <summary>The bytes of a section; empty for one that has none in the file.</summary>
    public ReadOnlyMemory<byte> Content(ElfSection section) =>
        section.Type == NoBitsSection ? default : Range(section.Offset, section.Size, $"section {section.Name}");

    /// <summary>The bytes of a segment that are in the file.</summary>
    public ReadOnlyMemory<byte> Content(ElfSegment segment) => Range(segment.Offset, segment.FileSize, "a segment");

    /// <summary>The notes of all note segments; of all note sections when there is no note segment.</summary>
    public IEnumerable<ElfNote> Notes()
    {
        ElfSegment[] segments = [.. Segments.Where(segment => segment.Type == NoteSegment)];
        return segments.Length > 0
            ? segments.SelectMany(segment => ReadNotes(Content(segment)))
            : Sections.Where(section => section.Type == NoteSection).SelectMany(section => ReadNotes(Content(section)));
    }

    private static IEnumerable<ElfNote> ReadNotes(ReadOnlyMemory<byte> notes)
    {
        for (ReadOnlyMemory<byte> rest = notes; rest.Length >= NoteHeaderSize;)
        {
            uint nameSize = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span);
            uint contentSize = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(rest.Span[8..]);
            ulong contentStart = NoteHeaderSize + AlignToWord(nameSize);
            ulong contentEnd = contentStart + contentSize;
            if (contentEnd > (ulong)rest.Length)
            {
                throw new KernelException("is damaged: an ELF note is longer than its segment");
            }

            string owner = Encoding.ASCII.GetString(rest.Span.Slice(NoteHeaderSize, (int)nameSize)).TrimEnd('\0');
            yield return new ElfNote(owner, type, rest[(int)contentStart..(int)contentEnd].ToArray());
            rest = rest[(int)Math.Min(contentStart + AlignToWord(contentSize), (ulong)rest.Length)..];
        }
    }

    private static ulong AlignToWord(uint size) => ((ulong)size + 3) & ~3UL;

    private ReadOnlyMemory<byte> Range(ulong offset, ulong size, string what) =>
        offset <= (ulong)_file.Length && size <= (ulong)_file.Length - offset
            ? _file.Slice((int)offset, (int)size)
            : throw new KernelException($"is damaged: {what} is outside the file");

    private ReadOnlyMemory<byte> Table(int offsetField, int entrySizeField, int entrySize, string what, out int count)
    {
        ReadOnlySpan<byte> header = _file.Span;
        count = BinaryPrimitives.ReadUInt16LittleEndian(header[(entrySizeField + 2)..]);
        if (count == 0)
        {
            return default;
        }

        if (BinaryPrimitives.ReadUInt16LittleEndian(header[entrySizeField..]) != entrySize)
        {
            throw new KernelException($"is damaged: entries of {what} have a wrong size");
        }

        return Range(BinaryPrimitives.ReadUInt64LittleEndian(header[offsetField..]), (ulong)(count * entrySize), what);
    }

    private ElfSegment[] ReadSegments()
    {
        ReadOnlySpan<byte> table = Table(32, 54, SegmentEntrySize, "the program header table", out int count).Span;
        ElfSegment[] segments = new ElfSegment[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = table.Slice(i * SegmentEntrySize, SegmentEntrySize);
            segments[i] = new ElfSegment(
                BinaryPrimitives.ReadUInt32LittleEndian(entry),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[40..]));
        }

        return segments;
    }

    private ElfSection[] ReadSections()
    {
        ReadOnlySpan<byte> table = Table(40, 58, SectionEntrySize, "the section header table", out int count).Span;
        int names = BinaryPrimitives.ReadUInt16LittleEndian(_file.Span[62..]);
        ReadOnlySpan<byte> nameBytes = default;
        if (count > 0 && names < count)
        {
            ReadOnlySpan<byte> entry = table.Slice(names * SectionEntrySize, SectionEntrySize);
            nameBytes = Range(
                BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]), BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]), "the section name table").Span;
        }

        ElfSection[] sections = new ElfSection[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = table.Slice(i * SectionEntrySize, SectionEntrySize);
            sections[i] = new ElfSection(
                ReadName(nameBytes, BinaryPrimitives.ReadUInt32LittleEndian(entry)),
                BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[24..]),
                BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]));
        }

        return sections;
    }

    private static string ReadName(ReadOnlySpan<byte> names, uint offset)
    {
        if (offset >= (uint)names.Length)
        {
            return string.Empty;
        }

        ReadOnlySpan<byte> rest = names[(int)offset..];
        int end = rest.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? rest : rest[..end]);
    }
}
