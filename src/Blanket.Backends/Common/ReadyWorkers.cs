namespace Blanket.Backends;

/// <summary>Workers that wait for their turn on one CPU, first come first served. Only that CPU touches it.</summary>
internal sealed class ReadyWorkers
{
    private SerialWorker? _first;
    private SerialWorker? _last;

    /// <summary>Whether no worker waits.</summary>
    internal bool IsEmpty => _first == null;

    /// <summary>Puts a worker at the end; it must not be in a queue.</summary>
    internal void Add(SerialWorker worker)
    {
        worker.NextReady = null;
        if (_last == null)
        {
            _first = worker;
        }
        else
        {
            _last.NextReady = worker;
        }

        _last = worker;
    }

    /// <summary>Takes the worker that has waited longest; one must wait.</summary>
    internal SerialWorker Take()
    {
        SerialWorker worker = _first!;
        _first = worker.NextReady;
        if (_first == null)
        {
            _last = null;
        }

        worker.NextReady = null;
        return worker;
    }
}
