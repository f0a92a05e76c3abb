using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using Blanket.Abi;
using Blanket.Abi.Xen;

namespace Blanket.Core.Tests.Building;

/// <summary>Makes ELF kernels with Xen notes for tests.</summary>
internal sealed class KernelImage
{
    public const ulong LinuxBase = 0xffffffff80000000;

    public List<(uint Type, byte[] Descriptor)> Notes { get; } = [];

    /// <summary>Segments to load: physical address, contents, size in memory.</summary>
    public List<(ulong Physical, byte[] Contents, ulong MemorySize)> Segments { get; } = [];

    public string? LegacySection { get; set; }

    public byte[]? Symbols { get; set; }

    public byte[]? Strings { get; set; }

    public ulong Entry { get; set; }

    public bool NotesInSectionOnly { get; set; }

    /// <summary>A kernel as Linux's: at 16 MiB, its p2m list apart, its ramdisk not mapped.</summary>
    public static KernelImage Linux(byte[] text, ulong memorySize)
    {
        KernelImage image = new();
        image.AddText(ElfNote.GuestOs, "linux");
        image.AddText(ElfNote.XenVersion, "xen-3.0");
        image.AddText(ElfNote.Loader, "generic");
        image.AddNumber(ElfNote.VirtualBase, LinuxBase);
        image.AddNumber(ElfNote.Entry, LinuxBase + 0x1000000 + 0x10);
        image.AddNumber(ElfNote.HypercallPage, LinuxBase + 0x1001000);
        image.AddText(ElfNote.Features, "!writable_page_tables|pae_pgdir_above_4gb");
        image.AddNumber(ElfNote.InitialP2M, 0x8000000000);
        image.Notes.Add((ElfNote.ModuleStartPfn, [1, 0, 0, 0]));
        image.Notes.Add((ElfNote.SupportedFeatures, [1, 0x88, 0, 0]));
        image.Segments.Add((0x1000000, text, memorySize));
        return image;
    }

    /// <summary>A kernel as PV-GRUB: at address 0, everything mapped in one region.</summary>
    public static KernelImage Small(byte[] text, ulong memorySize)
    {
        KernelImage image = new();
        image.AddText(ElfNote.GuestOs, "GRUB");
        image.AddText(ElfNote.Loader, "generic");
        image.AddText(ElfNote.XenVersion, "xen-3.0");
        image.AddNumber(ElfNote.Entry, 0);
        image.AddNumber(ElfNote.VirtualBase, 0);
        image.Segments.Add((0, text, memorySize));
        return image;
    }

    public void AddText(uint type, string text) => Notes.Add((type, Encoding.ASCII.GetBytes(text + "\0")));

    public void AddNumber(uint type, ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Notes.Add((type, bytes));
    }

    public void Replace(uint type, byte[] descriptor)
    {
        Notes.RemoveAll(note => note.Type == type);
        Notes.Add((type, descriptor));
    }

    public byte[] ToArray()
    {
        MemoryStream file = new();
        file.Write(new byte[64 + 56 * (Segments.Count + 1)]);
        List<Elf64ProgramHeader> segments = [];
        foreach ((ulong physical, byte[] contents, ulong memorySize) in Segments)
        {
            segments.Add(new Elf64ProgramHeader
            {
                Type = Elf64.ProgramLoad,
                Flags = 7,
                Offset = (ulong)file.Position,
                PhysicalAddress = physical,
                FileSize = (ulong)contents.Length,
                MemorySize = memorySize,
            });
            file.Write(contents);
        }

        Align(file);
        byte[] notes = NoteBytes();
        ulong notesAt = (ulong)file.Position;
        file.Write(notes);
        segments.Add(new Elf64ProgramHeader
        {
            Type = NotesInSectionOnly ? 0 : Elf64.ProgramNote,
            Offset = notesAt,
            FileSize = (ulong)notes.Length,
        });
        List<Elf64SectionHeader> sections = Sections(file, notesAt, (ulong)notes.Length);
        Align(file);
        Elf64Header header = new()
        {
            Magic = Elf64.Magic,
            Class = Elf64.Class64,
            Encoding = Elf64.LittleEndian,
            IdentVersion = 1,
            Type = 2,
            Machine = Elf64.MachineX8664,
            Version = 1,
            Entry = Entry,
            ProgramHeaderOffset = 64,
            SectionHeaderOffset = (ulong)file.Position,
            HeaderSize = 64,
            ProgramHeaderSize = 56,
            ProgramHeaderCount = (ushort)segments.Count,
            SectionHeaderSize = 64,
            SectionHeaderCount = (ushort)sections.Count,
            SectionNames = 1,
        };
        foreach (Elf64SectionHeader section in sections)
        {
            file.Write(MemoryMarshal.AsBytes<Elf64SectionHeader>([section]));
        }

        file.Position = 0;
        file.Write(MemoryMarshal.AsBytes<Elf64Header>([header]));
        foreach (Elf64ProgramHeader segment in segments)
        {
            file.Write(MemoryMarshal.AsBytes<Elf64ProgramHeader>([segment]));
        }

        return file.ToArray();
    }

    private List<Elf64SectionHeader> Sections(MemoryStream file, ulong notesAt, ulong notesSize)
    {
        byte[] names = Encoding.ASCII.GetBytes("\0.shstrtab\0__xen_guest\0.symtab\0.strtab\0.notes\0");
        List<Elf64SectionHeader> sections = [default];
        sections.Add(Section(file, 1, Elf64.SectionStrings, names));
        if (LegacySection != null)
        {
            sections.Add(Section(file, 11, 1, Encoding.ASCII.GetBytes(LegacySection + "\0")));
        }

        if (Symbols != null && Strings != null)
        {
            Elf64SectionHeader symbols = Section(file, 23, Elf64.SectionSymbols, Symbols);
            symbols.Link = (uint)sections.Count + 1;
            symbols.EntrySize = 24;
            sections.Add(symbols);
            sections.Add(Section(file, 31, Elf64.SectionStrings, Strings));
        }

        if (NotesInSectionOnly)
        {
            sections.Add(new Elf64SectionHeader { Name = 39, Type = Elf64.SectionNote, Offset = notesAt, Size = notesSize });
        }

        return sections;
    }

    private static Elf64SectionHeader Section(MemoryStream file, uint name, uint type, byte[] contents)
    {
        Align(file);
        Elf64SectionHeader section = new() { Name = name, Type = type, Offset = (ulong)file.Position, Size = (ulong)contents.Length };
        file.Write(contents);
        return section;
    }

    private byte[] NoteBytes()
    {
        MemoryStream notes = new();
        foreach ((uint type, byte[] descriptor) in Notes)
        {
            notes.Write(MemoryMarshal.AsBytes<uint>([4, (uint)descriptor.Length, type]));
            notes.Write("Xen\0"u8);
            notes.Write(descriptor);
            while ((notes.Position & 3) != 0)
            {
                notes.WriteByte(0);
            }
        }

        return notes.ToArray();
    }

    private static void Align(MemoryStream file)
    {
        while ((file.Position & 7) != 0)
        {
            file.WriteByte(0);
        }
    }
}
