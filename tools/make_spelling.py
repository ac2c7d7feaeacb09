#!/usr/bin/env python3
"""Makes data/spelling/english.json, British spellings and the American ones. Run from the top folder.

The families of differences are rules; the words that each applies to are listed. What is spelled
alike on both sides, or means something else on the other ("storey"), is left out.
"""

import json
import pathlib

IZE = '''agonise antagonise apologise authorise baptise capitalise categorise centralise characterise
civilise colonise commercialise computerise criticise crystallise customise decentralise demoralise
destabilise digitise dramatise economise emphasise energise equalise familiarise fantasise fertilise
finalise formalise generalise globalise harmonise hospitalise humanise hypnotise idealise idolise
immunise industrialise initialise internalise itemise jeopardise legalise
liberalise localise magnetise marginalise materialise maximise mechanise memorise mesmerise minimise
mobilise modernise monetise monopolise nationalise naturalise neutralise normalise optimise organise
ostracise oxidise patronise penalise personalise philosophise plagiarise polarise politicise
popularise prioritise privatise publicise randomise rationalise realise recognise reorganise
revolutionise satirise scrutinise sensationalise socialise specialise stabilise standardise sterilise
stigmatise subsidise summarise symbolise sympathise synchronise tantalise terrorise theorise
traumatise trivialise unionise urbanise utilise vandalise verbalise victimise visualise
westernise'''.split()
NO_NOUN = '''agonise apologise baptise criticise emphasise hypnotise jeopardise mesmerise ostracise
patronise plagiarise recognise satirise scrutinise sympathise tantalise terrorise philosophise
antagonise fantasise publicise'''.split()
IZERS = 'equalise fertilise organise stabilise sterilise synchronise visualise'.split()
OUR_VERBS = '''armour colour discolour endeavour favour flavour harbour honour dishonour humour labour
neighbour rumour savour clamour'''.split()
OUR_NOUNS = '''arbour ardour behaviour candour demeanour disfavour fervour misdemeanour odour parlour
rancour rigour saviour splendour succour tumour valour vapour vigour watercolour'''.split()
OUR_OTHERS = '''behavioural behaviourally colourful colourfully colourless colourblind favourable
favourably unfavourable unfavourably favourite favourites favouritism flavourful flavourless
flavoursome honourable honourably dishonourable humourless labourer labourers neighbourhood
neighbourhoods neighbourly odourless savoury unsavoury armoury armouries multicoloured
harbourside'''.split()
RE_NOUNS = '''centre theatre fibre litre metre millimetre centimetre kilometre millilitre lustre
meagre sombre spectre sabre calibre epicentre amphitheatre sceptre mitre'''.split()
DOUBLE_L = '''bevel cancel carol channel counsel cudgel dial dishevel equal fuel funnel gambol grovel
initial jewel label level libel marshal marvel model panel parcel pedal pencil quarrel ravel rival
shovel shrivel signal snivel spiral stencil swivel total towel travel trowel tunnel unravel
yodel'''.split()
AGENTS = 'counsel jewel level model signal travel label channel'.split()
SINGLE_L = {'enrol': 'enroll', 'enrols': 'enrolls', 'enrolment': 'enrollment', 'fulfil': 'fulfill',
            'fulfils': 'fulfills', 'fulfilment': 'fulfillment', 'instalment': 'installment',
            'instalments': 'installments', 'skilful': 'skillful', 'skilfully': 'skillfully',
            'wilful': 'willful', 'wilfully': 'willfully', 'distil': 'distill', 'instil': 'instill',
            'appal': 'appall', 'enthral': 'enthrall'}
DIGRAPHS = {'anaemia': 'anemia', 'anaemic': 'anemic', 'anaesthesia': 'anesthesia',
            'anaesthetic': 'anesthetic', 'anaesthetist': 'anesthetist', 'caesium': 'cesium',
            'diarrhoea': 'diarrhea', 'encyclopaedia': 'encyclopedia', 'faeces': 'feces',
            'foetal': 'fetal', 'foetus': 'fetus', 'gynaecology': 'gynecology',
            'gynaecologist': 'gynecologist', 'haemoglobin': 'hemoglobin',
            'haemorrhage': 'hemorrhage', 'leukaemia': 'leukemia', 'mediaeval': 'medieval',
            'oesophagus': 'esophagus', 'oestrogen': 'estrogen', 'orthopaedic': 'orthopedic',
            'paediatric': 'pediatric', 'paediatrician': 'pediatrician', 'palaeontology':
            'paleontology', 'manoeuvre': 'maneuver', 'manoeuvres': 'maneuvers',
            'manoeuvred': 'maneuvered', 'manoeuvring': 'maneuvering'}
SINGLE = {'acknowledgement': 'acknowledgment', 'acknowledgements': 'acknowledgments',
          'aeroplane': 'airplane', 'aeroplanes': 'airplanes', 'ageing': 'aging',
          'aluminium': 'aluminum', 'analogue': 'analog', 'artefact': 'artifact',
          'artefacts': 'artifacts', 'catalogue': 'catalog', 'catalogues': 'catalogs',
          'catalogued': 'cataloged', 'cataloguing': 'cataloging', 'centred': 'centered',
          'centring': 'centering', 'cheque': 'check', 'cheques': 'checks', 'cosy': 'cozy',
          'cosier': 'cozier', 'cosiest': 'coziest', 'councillor': 'councilor',
          'councillors': 'councilors', 'defence': 'defense', 'defences': 'defenses',
          'defenceless': 'defenseless', 'draught': 'draft', 'draughts': 'drafts',
          'draughty': 'drafty', 'grey': 'gray', 'greys': 'grays', 'greyed': 'grayed',
          'greying': 'graying', 'greyish': 'grayish', 'jewellery': 'jewelry',
          'judgement': 'judgment', 'judgements': 'judgments', 'kerb': 'curb', 'kerbs': 'curbs',
          'licence': 'license', 'licences': 'licenses',
          'marvellous': 'marvelous', 'marvellously': 'marvelously', 'mould': 'mold',
          'moulds': 'molds', 'moulded': 'molded', 'moulding': 'molding', 'mouldy': 'moldy',
          'moult': 'molt', 'moustache': 'mustache', 'moustaches': 'mustaches',
          'offence': 'offense', 'offences': 'offenses',
          'plough': 'plow', 'ploughs': 'plows', 'ploughed': 'plowed', 'ploughing': 'plowing',
          'practise': 'practice', 'practises': 'practices', 'practised': 'practiced',
          'practising': 'practicing', 'pretence': 'pretense', 'programme': 'program',
          'programmes': 'programs', 'pyjamas': 'pajamas', 'sceptic': 'skeptic',
          'sceptics': 'skeptics', 'sceptical': 'skeptical', 'scepticism': 'skepticism',
          'smoulder': 'smolder', 'smouldering': 'smoldering',
          'sulphur': 'sulfur', 'sulphuric': 'sulfuric',
          'tyre': 'tire', 'tyres': 'tires',
          'woollen': 'woolen', 'yoghurt': 'yogurt', 'yoghurts': 'yogurts'}


def pairs():
    for word in IZE:
        stem = word[:-3]
        endings = ('e', 'es', 'ed', 'ing') + (('er', 'ers') if word in IZERS else ())
        for ending in endings:
            yield f'{stem}is{ending}', f'{stem}iz{ending}'
        if word not in NO_NOUN:
            for ending in ('ation', 'ations'):
                yield f'{stem}is{ending}', f'{stem}iz{ending}'
    for stem in ('analy', 'paraly', 'cataly'):
        for ending in ('se', 'sed', 'sing'):
            yield stem + ending, stem + 'z' + ending[1:]
    for word in OUR_VERBS + OUR_NOUNS:
        endings = ('', 's', 'ed', 'ing') if word in OUR_VERBS else ('', 's')
        for ending in endings:
            yield word + ending, word[:-3] + 'or' + ending
    for word in OUR_OTHERS:
        yield word, word.replace('our', 'or')
    for word in RE_NOUNS:
        for ending in ('', 's'):
            yield word + ending, word[:-2] + 'er' + ending
    for word in DOUBLE_L:
        for ending in ('ed', 'ing'):
            yield word + 'l' + ending, word + ending
    for word in AGENTS:
        agent = 'or' if word == 'counsel' else 'er'
        for ending in (agent, agent + 's'):
            yield word + 'l' + ending, word + ending
    yield from (('analyser', 'analyzer'), ('analysers', 'analyzers'))
    for table in (SINGLE_L, DIGRAPHS, SINGLE):
        yield from table.items()


def main():
    words = dict(sorted(pairs()))
    assert not set(words) & set(words.values()), set(words) & set(words.values())
    path = pathlib.Path('data/spelling/english.json')
    path.write_text(json.dumps(words, indent=1) + '\n')
    print(f'{path}: {len(words)} words')


if __name__ == '__main__':
    main()
